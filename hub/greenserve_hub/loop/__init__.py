"""One hub for each OS thread: its turn, and the one place where a green thread waits."""
