"""Sockets, files and children whose waits let other green threads run."""
