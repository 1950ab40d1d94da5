"""How evenly clients spread over workers: lasting connections, and short ones.

python -m tests.bench.spread [workers] [own|shared]
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.support.clients.raw import RawClient
from tests.support.programs.workers import workers

LASTING, SHORT = 300, 2000


def main() -> None:
    """Print the requests of each worker."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    sockets = sys.argv[2] if len(sys.argv) > 2 else "own"
    with (
        tempfile.TemporaryDirectory() as folder,
        workers(Path(folder), "--worker-sockets", sockets, count=count) as server,
    ):
        clients = [RawClient(server.address) for _ in range(LASTING)]
        lasting = Counter(client.get().body.split()[1] for client in clients)
        for client in clients:
            client.close()
        short = Counter(server.ask()[1] for _ in range(SHORT))
    for name, counts in (("lasting", lasting), ("short", short)):
        shares = sorted(counts.values()) + [0] * (count - len(counts))
        print(f"{sockets}: {sum(shares)} {name} connections over {count} workers: {sorted(shares)}")


if __name__ == "__main__":
    main()
