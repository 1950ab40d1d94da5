"""How a server lives: as a process, with signals, drain and exit codes, or in an OS thread of a program.

On top of net/; called by the command line and by greenserve.run().
"""

from greenserve.process.single import run
from greenserve.process.starting import Starting

__all__ = ["Starting", "run"]
