"""Names of any bytes as people and programs can take them."""

from __future__ import annotations

import json
import re
from typing import Any

UNDECODED = re.compile("[\udc80-\udcff]")
"""Bytes of a name that are not UTF-8, as Python keeps them."""


def valid(text: str) -> str:
    r"""What any program can take for text: other bytes become `\xff`."""
    escaped = UNDECODED.sub(lambda found: f"\\x{ord(found[0]) - 0xDC00:02x}", text)
    return escaped.encode("utf-8", "backslashreplace").decode()


def shown(text: str) -> str:
    """What fits in one line of a table, and tells a terminal nothing but itself."""
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode()
        for each in valid(text)
    )


def json_line(document: object) -> str:
    """A document on one line of ASCII, which any program can read."""
    return json.dumps(_valid(document))


def _valid(value: Any) -> Any:
    if isinstance(value, str):
        return valid(value)
    if isinstance(value, dict):
        return {valid(name): _valid(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_valid(part) for part in value]
    return value
