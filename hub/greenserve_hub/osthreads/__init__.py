"""OS threads for calls that would block the hub."""
