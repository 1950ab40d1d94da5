"""One hub per OS thread: a turn of the loop, and the one place where green threads wait."""
