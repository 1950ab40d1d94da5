"""wsgi.errors where the program brings none of its own: sys.stderr, as it is by the time of the call.

PEP 3333 wants a text file there. The invariant: what an app has to tell never costs it its request; a stderr that is
closed, full, broken, or was never there, takes nothing and raises nothing.
"""

from __future__ import annotations

import io
import sys


class ErrorStream(io.TextIOBase):
    """A text file that can be written to whatever has become of sys.stderr."""

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, text: str) -> int:
        """Print to stderr. Switches: never. Raises nothing but TypeError for what is no str."""
        if not isinstance(text, str):
            raise TypeError(f"wsgi.errors takes str, not {type(text).__name__} (PEP 3333)")
        try:
            if sys.stderr is not None:  # a program that was started without
                sys.stderr.write(text)
        except (OSError, ValueError):  # ValueError: closed
            pass
        return len(text)

    def flush(self) -> None:
        """Have stderr write what it has gathered. Raises nothing."""
        try:
            if sys.stderr is not None:
                sys.stderr.flush()
        except (OSError, ValueError):
            pass
