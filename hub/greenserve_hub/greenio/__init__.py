"""Green sockets, files and child processes: their waits let other green threads run."""
