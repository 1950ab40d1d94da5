"""The settings themselves, by what they are about."""
