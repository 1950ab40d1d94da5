"""eventlet.timeout: greenserve's timeouts."""

from greenserve_hub import Timeout, is_timeout, with_timeout, wrap_is_timeout

__all__ = ["Timeout", "is_timeout", "with_timeout", "wrap_is_timeout"]
