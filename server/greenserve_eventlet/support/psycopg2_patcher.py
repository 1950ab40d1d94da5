"""psycopg2 that waits green without monkey patching; monkey_patch() tells it by itself."""

from greenserve_hub import monkey_patch


def make_psycopg_green() -> None:
    """Let other green threads run while psycopg2 waits. Switches: never."""
    monkey_patch(psycopg=True)


__all__ = ["make_psycopg_green"]
