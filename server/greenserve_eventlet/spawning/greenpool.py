"""eventlet.greenpool: greenserve's pools."""

from greenserve_hub import GreenPile, GreenPool

__all__ = ["GreenPile", "GreenPool"]
