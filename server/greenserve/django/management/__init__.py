"""Where Django looks for the management commands of an app."""
