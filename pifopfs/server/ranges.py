"""Parts of a file, as the headers `Range` and `If-Range` ask for them (RFC 9110, section 14)."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

RANGE = re.compile(r"\s*bytes\s*=\s*([0-9]{0,99})\s*-\s*([0-9]{0,99})\s*", re.ASCII | re.IGNORECASE)


class Unsatisfiable(Exception):
    """Nothing of the file is in the range that is asked for."""


@dataclass(frozen=True, slots=True)
class Part:
    """The bytes of a file from `start` up to `end`, of `whole`."""

    start: int
    end: int
    whole: int

    @property
    def size(self) -> int:
        return self.end - self.start

    @property
    def content_range(self) -> str:
        """As the header of that name."""
        return f"bytes {self.start}-{self.end - 1}/{self.whole}"


def wanted(range_: str | None, if_range: str | None, tag: str, size: int) -> Part | None:
    """The part that is asked for of a file with this entity tag; None for the whole file.

    That is so for several ranges, for what is no range, and where `if_range` tells another tag, or
    a date: a file of these has none. Raises Unsatisfiable.
    """
    found = None if range_ is None else RANGE.fullmatch(range_)
    if found is None or if_range not in (None, tag) or not any(found.groups()):
        return None
    first, last = found.groups()
    if not first:
        part = Part(max(0, size - int(last)), size, size)
    elif last and int(last) < int(first):
        return None
    else:
        part = Part(int(first), min(size, int(last) + 1) if last else size, size)
    if part.size <= 0:
        raise Unsatisfiable
    return part


def entity_tag(status: os.stat_result) -> str:
    """A strong one: whatever changes a file's bytes changes its ctime, which nobody can set."""
    identity = (status.st_dev, status.st_ino, status.st_size, status.st_ctime_ns)
    return '"' + "-".join(f"{number:x}" for number in identity) + '"'
