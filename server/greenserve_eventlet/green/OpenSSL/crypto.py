"""OpenSSL.crypto of pyOpenSSL, unchanged."""

from importlib import import_module
from typing import Any

standard: Any = import_module("OpenSSL.crypto")

globals().update(
    {name: value for name, value in vars(standard).items() if name[:2] != "__" or name == "__version__"}
)


def __getattr__(name: str) -> Any:
    return getattr(standard, name)  # for type checkers
