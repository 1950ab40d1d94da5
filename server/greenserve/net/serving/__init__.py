"""Many connections: which are let in, which run, and how all of them stop."""
