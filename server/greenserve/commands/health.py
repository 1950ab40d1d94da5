"""`greenserve health`: asks the admin pages if the server is well, for Docker's HEALTHCHECK and exec probes.

The exit code is 0 if it is, and 1 for all else, a bad setting included: to Docker 2 means nothing. One line says why.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from greenserve.commands.admin_client import AdminClient, parser, printable, told
from greenserve.config.values.values import parse_duration
from greenserve.errors import ConfigError

__all__ = ["main"]


def main(argv: Sequence[str]) -> int:
    """Ask, print the line, and return the exit code."""
    made = parser("health", "Exit with 0 if the server is well, else with 1.")
    made.add_argument(
        "--ready", action="store_true", help="ask if it takes new connections: readiness, not liveness"
    )
    made.add_argument("--timeout", metavar="TIME", default="5s", help="longest time to wait; default 5s")
    try:
        options = made.parse_args(argv)
        try:
            timeout = parse_duration(options.timeout)
        except ValueError as error:
            raise ConfigError(f"--timeout {options.timeout}: {error}") from None
        client = AdminClient(options, timeout or 5.0)
        status, text = client.get("/readyz" if options.ready else "/healthz")
    except ConfigError as error:
        sys.stderr.write(f"greenserve health: {error}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"greenserve health: unhealthy: {client.address} does not answer: {told(error)}\n")
        return 1
    line = printable(text.strip().partition("\n")[0])
    well, unwell = ("ready: ", "not ready: ") if options.ready else ("healthy: ", "unhealthy: ")
    if status == 200 and line.startswith(well):
        sys.stdout.write(f"{line}\n")
        return 0
    if not line.startswith(unwell):
        line = f"{client.address} answers {status}, and not as greenserve's admin pages do: {line}"
    sys.stderr.write(f"greenserve health: {line}\n")
    return 1
