"""eventlet.greenpool: greenserve's pools."""

from greenserve_hub import GreenPile, GreenPool
from greenserve_hub.greenthreads.maps import GreenMap

DEBUG = True  # errors of spawn_n() are printed either way; debug.hub_exceptions(False) stops that

__all__ = ["DEBUG", "GreenMap", "GreenPile", "GreenPool"]
