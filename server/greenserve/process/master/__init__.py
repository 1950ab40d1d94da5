"""Several processes: a master that binds, forks, watches and reloads, and workers that serve.

On top of single-process serving: a worker is a process of serving.py with a master. Called by the command line and by
greenserve.run(), which import start.py when there are several: most programs have one.
"""
