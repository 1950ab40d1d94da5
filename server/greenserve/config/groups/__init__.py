"""The settings themselves, one module for each subject."""
