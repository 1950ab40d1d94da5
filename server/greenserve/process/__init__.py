"""How a server lives as a process: signals, drain, exit codes.

On top of net/; called by the command line and by greenserve.run().
"""

from greenserve.process.single import run
from greenserve.process.starting import Starting

__all__ = ["Starting", "run"]
