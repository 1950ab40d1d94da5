"""greenserve without the extra `speedups`, wherever that is installed: the same arguments as greenserve's."""

import sys

if __name__ == "__main__":
    sys.modules["websockets.speedups"] = None  # importing it raises ImportError
    from greenserve.cli import main

    sys.exit(main())
