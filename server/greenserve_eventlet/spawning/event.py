"""eventlet.event: greenserve's events."""

from greenserve_hub import Event


class _NotUsed:
    """What eventlet's events hold before they are sent; programs compare with it."""

    def __repr__(self) -> str:
        """Return the name."""
        return "NOT_USED"


NOT_USED = _NotUsed()

__all__ = ["NOT_USED", "Event"]
