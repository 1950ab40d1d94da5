"""How each flavour patches: one call, with its own defaults. Imports nothing else, for it must be the first to act.

`python patches.py FLAVOUR` patches and prints the flavour's version: whether it works here at all.
"""

import sys


def patch(flavour):
    if flavour == "greenserve":
        import greenserve

        greenserve.monkey_patch()
    elif flavour == "gevent":
        from gevent import monkey

        monkey.patch_all()
    elif flavour == "eventlet":
        import eventlet

        eventlet.monkey_patch()


if __name__ == "__main__":
    patch(sys.argv[1])
    from importlib import metadata

    print("" if sys.argv[1] == "unpatched" else metadata.version(sys.argv[1]))
