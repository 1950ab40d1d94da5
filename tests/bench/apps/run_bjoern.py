"""bjoern, one thread and one request at a time: `python -m tests.bench.apps.run_bjoern module:app port`."""

import sys
from importlib import import_module

import bjoern

if __name__ == "__main__":
    module, _, attribute = sys.argv[1].partition(":")
    app = getattr(import_module(module), attribute)
    bjoern.run(app, "127.0.0.1", int(sys.argv[2]), listen_backlog=2048)
