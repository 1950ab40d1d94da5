"""Small functions that programs import from eventlet."""

from greenserve_eventlet.support.deprecation import wrap_deprecated
from greenserve_eventlet.support.errors import bytes_to_str, get_errno

PY33 = False

__all__ = ["PY33", "bytes_to_str", "get_errno", "wrap_deprecated"]
