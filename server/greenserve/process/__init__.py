"""How a server lives: as a process with signals and exit codes, or in an OS thread of a program.

On top of net/; called by the command line, greenserve.run() and greenserve.serve().
"""

from greenserve.process.single import run
from greenserve.process.starting import Starting

__all__ = ["Starting", "run"]
