"""pyOpenSSL, whose connections wait green; in place of `import OpenSSL`."""

from importlib import import_module
from typing import Any

try:
    standard: Any = import_module("OpenSSL")
except ImportError as error:
    raise ImportError("eventlet.green.OpenSSL needs pyOpenSSL: pip install pyOpenSSL") from error

from greenserve_eventlet.green.OpenSSL import SSL as SSL
from greenserve_eventlet.green.OpenSSL import crypto as crypto
from greenserve_eventlet.green.OpenSSL import version as version

__version__ = standard.__version__
