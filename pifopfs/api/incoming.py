"""A file that an output is written to, and how far it has come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import httpx

from pifopfs.api.progress import Progress

LARGEST = 2**63 - 1
"""Bytes of the largest file."""


@dataclass(frozen=True, slots=True)
class Head:
    """What is known of a body before it comes."""

    length: int | None
    """Of the whole output in bytes; None where the service does not tell."""
    etag: str | None = None
    """A strong validator: bytes with the same one are of the same output."""
    ranges: bool = False
    """Parts of it can be asked for."""

    @classmethod
    def of(cls, headers: httpx.Headers) -> Head:
        """What the headers of an answer tell."""
        plain = headers.get("Content-Encoding", "identity").strip().lower() in ("", "identity")
        length = output_length(headers.get("Content-Length", "")) if plain else None
        etag = headers.get("ETag", "")
        ranges = plain and headers.get("Accept-Ranges", "").strip().lower() == "bytes"
        return cls(length, etag if etag.startswith('"') else None, ranges)


@dataclass(frozen=True, slots=True)
class Span:
    """A part of an output."""

    start: int
    end: int
    """Behind its last byte."""
    whole: Head
    """Of what it is a part; it has an ETag."""

    def headers(self) -> dict[str, str]:
        """What asks for it; of another output than expected the whole would come."""
        return {"Range": f"bytes={self.start}-{self.end - 1}", "If-Range": self.whole.etag or ""}

    def is_in(self, headers: httpx.Headers) -> bool:
        """Whether an answer with these headers has it, and nothing else."""
        told = f"bytes {self.start}-{self.end - 1}/{self.whole.length}"
        same = headers.get("ETag") in (None, self.whole.etag)
        return same and headers.get("Content-Range", "").strip() == told


def output_length(text: str) -> int | None:
    """The length that a Content-Length tells; None for what no file can have."""
    length = int(text) if text.isdecimal() and len(text) < len(str(LARGEST)) + 1 else None
    return length if length is not None and length <= LARGEST else None


@dataclass(slots=True)
class Incoming:
    """Where an output goes, and who is told of it."""

    file: int
    """A descriptor; each byte gets its own offset in the file."""
    began: Callable[[Head], None]
    """What comes is known; raises what ends it."""
    arrived: Callable[[], None]
    """What is wanted has come; see `progress`."""
    progress: Progress = field(default_factory=Progress)

    def come_to(self, offset: int) -> None:
        """All bytes before `offset` are in the file."""
        if self.progress.come_to(offset):
            self.arrived()

    def move_to(self, progress: Progress) -> None:
        """From now on how far it is stands there."""
        progress.take_over(self.progress)
        self.progress = progress
