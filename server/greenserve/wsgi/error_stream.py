"""wsgi.errors, unless the program brings its own: the sys.stderr of the moment.

PEP 3333 requires a text file. The invariant: writing to it never fails a request. A stderr that is closed, full, broken
or missing takes nothing and raises nothing.
"""

from __future__ import annotations

import io
import sys


class ErrorStream(io.TextIOBase):
    """A text file that accepts writes in any state of sys.stderr."""

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, text: str) -> int:
        """Write to stderr. Switches: never. Raises TypeError for anything but a str, and nothing else."""
        if not isinstance(text, str):
            raise TypeError(f"wsgi.errors takes str, not {type(text).__name__} (PEP 3333)")
        try:
            if sys.stderr is not None:  # None if the program was started without one
                sys.stderr.write(text)
        except (OSError, ValueError):  # ValueError: closed
            pass
        return len(text)

    def flush(self) -> None:
        """Flush stderr. Raises nothing."""
        try:
            if sys.stderr is not None:
                sys.stderr.flush()
        except (OSError, ValueError):
            pass
