"""How a server lives as a process: signals, drain, exit codes.

On top of net/; called by the command line and by greenserve.run().
"""

from greenserve.process.single import run

__all__ = ["run"]
