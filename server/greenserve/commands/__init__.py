"""Subcommands: what `greenserve NAME …` does besides serving an app, one module each.

Called by cli.py when the first word of the command line is a name in COMMANDS. The module of that name here is imported
then, and not before; its `main(argv)` gets the words behind the name, and returns the exit code or raises ConfigError.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import cast

__all__ = ["COMMANDS", "run_command"]

# Each with what it does, for --help and for completion.
COMMANDS = {
    "migrate": "print a greenserve.toml made of gunicorn's configuration file or command line",
    "completion": "print the script by which bash, zsh or fish completes greenserve's flags",
    "top": "show what the workers do, in the terminal, from the admin pages",
    "health": "exit with 0 if the server is well, else with 1: for HEALTHCHECK and exec probes",
}


def run_command(name: str, argv: Sequence[str]) -> int:
    """Run a subcommand and return its exit code. Raises ConfigError, whose line goes to stderr."""
    main = cast(Callable[[Sequence[str]], int], import_module(f"{__name__}.{name}").main)
    return main(argv)
