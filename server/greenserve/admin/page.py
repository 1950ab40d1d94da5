"""The live page: one file, with nothing from outside, and a policy that lets nothing else run.

page.html holds styles and script. The policy names their hashes (CSP 3 §6.7.2), so that a text that comes into the page
by some mistake can't become code.
"""

from __future__ import annotations

import base64
import hashlib
import re
from importlib import resources
from typing import Final

from webob import Response

from greenserve.errors import ConfigError

__all__ = ["Page"]

_PARTS: Final = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)


class Page:
    """The page and its policy, read once."""

    def __init__(self) -> None:
        """Read it from the package. Raises ConfigError in a frozen program that was made without it."""
        try:
            text = resources.files("greenserve.admin").joinpath("page.html").read_text("utf-8")
        except OSError as error:
            raise ConfigError(
                f"the live page can't be read ({error.strerror}): have the program include greenserve's data files "
                "(PyInstaller: --collect-data greenserve)"
            ) from None
        hashes = {kind: _hash(content) for kind, content in _PARTS.findall(text)}
        self._body = text.encode()
        self._policy = (
            f"default-src 'none'; script-src {hashes['script']}; style-src {hashes['style']}; "
            "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )

    def response(self) -> Response:
        """Return it."""
        response = Response(self._body, content_type="text/html", charset="utf-8")
        response.headers["Content-Security-Policy"] = self._policy
        return response


def _hash(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"
