"""One client's HTTP connection: it waits, reads heads, runs requests, and ends."""
