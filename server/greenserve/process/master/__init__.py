"""Several processes: a master that binds, forks, watches and reloads, and workers that serve.

On top of single-process serving: a worker is a process of serving.py with a master. Called by the command line and by
greenserve.run().
"""

from greenserve.process.master.plan import Plan, needs_master
from greenserve.process.master.start import run_with_workers

__all__ = ["Plan", "needs_master", "run_with_workers"]
