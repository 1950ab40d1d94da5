"""The management command `runserver`."""
