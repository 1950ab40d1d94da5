"""Judges what a page says: every message is checked here, field by field, before anything else looks at it.

Knows nothing of rooms and sockets. What is refused raises `Refused`, whose text tells what to send instead.
"""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any

MOST_NAME = 32
MOST_TEXT = 2000
MOST_LINES = 40
# 2,000 characters, each of them two JSON escapes of six bytes, and the rest of the object.
MOST_BYTES = 32 * 2**10
MOST_ID = 2**53

# They count as letters and symbols, and show as nothing; NFKC has turned their variants into these.
BLANK = str.maketrans("", "", "\u115f\u1160\u2800")
KEY = re.compile(r"[A-Za-z0-9_-]{16,64}")


class Refused(Exception):
    """A message that is not taken. `details` go to its sender beside the code and the text."""

    def __init__(self, code: str, text: str, **details: Any) -> None:
        """Takes a word for the program and a sentence for the reader."""
        super().__init__(text)
        self.code = code
        self.details = details


def parse(message: str | bytes) -> dict[str, Any]:
    """The JSON object that a message is."""
    if isinstance(message, bytes):
        raise Refused("malformed", "Send text messages; this was a binary one.")
    try:
        said = json.loads(message)
    except (ValueError, RecursionError):
        raise Refused("malformed", 'This is not JSON. Send an object like {"type": "say", …}.') from None
    if not isinstance(said, dict):
        raise Refused("malformed", 'Send a JSON object like {"type": "say", …}.')
    return said


def string(said: dict[str, Any], field: str) -> str:
    """A field that must be there, and a string."""
    value = said.get(field)
    if not isinstance(value, str):
        raise Refused("malformed", f"`{field}` must be a string.")
    return value


def line(said: dict[str, Any], field: str) -> str:
    """A name: one line without control characters, without what changes a text's direction or doesn't show."""
    # Before it is normalized, which can make eighteen characters of one.
    text = unicodedata.normalize("NFKC", string(said, field)[: 4 * MOST_NAME]).translate(BLANK)
    kept = "".join(char if char.isprintable() else " " if char.isspace() else "" for char in text)
    if not (words := " ".join(kept.split())):
        raise Refused("empty", f"The {field} is empty. Give one of up to {MOST_NAME} characters.")
    if len(words) > MOST_NAME:
        raise Refused("long", f"The {field} is too long. Give one of up to {MOST_NAME} characters.")
    return words


def text(said: dict[str, Any]) -> str:
    """What is said: lines, without control characters and halves of characters."""
    lines = string(said, "text").replace("\r\n", "\n")
    kept = "".join(char for char in lines if char in "\n\t" or unicodedata.category(char) not in ("Cc", "Cs"))
    if not (kept := kept.strip()):
        raise Refused("empty", "The message is empty.")
    if len(kept) > MOST_TEXT or kept.count("\n") >= MOST_LINES:
        limit = f"{MOST_TEXT} characters and {MOST_LINES} lines"
        raise Refused("long", f"The message is too long: send up to {limit} at once.")
    return kept


def key(said: dict[str, Any], field: str) -> str:
    """A random string that the page made."""
    if not KEY.fullmatch(value := string(said, field)):
        raise Refused("malformed", f"`{field}` must be 16 to 64 random letters, digits, `-` or `_`.")
    return value


def after(said: dict[str, Any]) -> int:
    """The last message that the page has; 0 where it has none."""
    value = said.get("after", 0)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < MOST_ID:
        raise Refused("malformed", "`after` must be the id of a message, or 0.")
    return value
