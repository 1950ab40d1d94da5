"""Parts of HTTP's grammar (RFC 9110 §5.6) that several parsers are built from, as sources of regular expressions.

Imports nothing but re, so that every sans-IO core may use it. The quantifiers are possessive: each text matches in
one way only, so nothing is tried twice and the cost stays linear.
"""

from __future__ import annotations

import re
from typing import Final

TOKEN_CHARACTERS: Final = r"!#$%&'*+\-.^_`|~0-9A-Za-z"  # tchar, for use inside [...]
TOKEN: Final = rf"[{TOKEN_CHARACTERS}]++"  # RFC 9110 §5.6.2
# What stands between the quotes of a quoted-string, in latin-1, whose 0x80 to 0xFF are obs-text (RFC 9110 §5.6.4).
QUOTED_TEXT: Final = r"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*+"

_TOKEN: Final = re.compile(TOKEN)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)


def is_token(text: str) -> bool:
    """Return True if `text` is a token (RFC 9110 §5.6.2)."""
    return _TOKEN.fullmatch(text) is not None


def unescape(text: str) -> str:
    """The value of a quoted-string: `text`, what stands between its quotes, without the backslashes (§5.6.4)."""
    return _ESCAPED.sub(r"\1", text)
