"""OS threads for calls that would stop the hub."""
