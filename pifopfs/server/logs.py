"""Logs on disk: what a program prints, as UTF-8 with bad bytes replaced, read from any byte on.

A log file always ends with a whole character, so that an offset of one answer fits the next.
"""

from __future__ import annotations

import codecs
import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

FULL = {errno.ENOSPC, errno.EDQUOT}
LONGEST_CHARACTER = 4
"""Bytes of one in UTF-8."""
GAP = "pifopfs: some output is missing here: the disk was full\n"


class LogWriter:
    """Appends to a log. Use it as a context manager.

    On a full disk output is lost rather than the run. Raises OSError where the disk fails.
    """

    def __init__(self, path: Path, limit: int | None = None, *, again: bool = False) -> None:
        """`limit`: bytes that a program's output may take here; what comes after is counted.

        `again`: the output comes once more from its beginning on, and what is here already is not
        written another time. Where the two differ, the new one counts.
        """
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
        self._file = os.fdopen(os.open(path, flags | os.O_CLOEXEC, 0o600), "ab", buffering=0)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._gap = False
        """Output was lost, which is not yet said in the log."""
        self._room = limit
        self._dropped = 0
        self._repeated: int | None = 0 if again else None
        """Bytes that came again so far; None: what comes is new."""

    def __enter__(self) -> LogWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._append(self._within(self._decoder.decode(b"", final=True)))
        if self._dropped:
            self.note(f"[log truncated: {self._dropped} bytes dropped]")
        self._file.close()

    def write(self, output: bytes) -> None:
        """Append what a program has printed; a character cut in two waits for its rest."""
        self._append(self._within(self._decoder.decode(output)))

    def drop(self, number: int) -> None:
        """Count bytes of output that somebody else has dropped."""
        self._dropped += number

    def _within(self, text: str) -> str:
        """What there is room for. A replaced byte takes three."""
        if self._room is None:
            return text
        content = text.encode("utf-8", "replace")
        if len(content) <= self._room:
            self._room -= len(content)
            return text
        kept = content[: self._room].decode("utf-8", "ignore")  # no half of a character
        self._room = 0
        self._dropped += len(content) - len(kept.encode())
        return kept

    def note(self, text: str) -> None:
        """Append a line of the server's own."""
        rest = self._decoder.decode(b"", final=True)
        self._append(rest + "\n" * self._within_a_line(rest) + f"pifopfs: {text}\n")
        self._decoder.reset()

    def _within_a_line(self, rest: str) -> bool:
        """Whether the last line of the log, and of what follows it, has no end."""
        if rest:
            return not rest.endswith("\n")
        end = os.fstat(self._file.fileno()).st_size
        return end > 0 and os.pread(self._file.fileno(), 1, end - 1) != b"\n"

    def _append(self, text: str) -> None:
        if not text:
            return
        content = self._new((GAP * self._gap + text).encode("utf-8", "replace"))
        end = os.fstat(self._file.fileno()).st_size
        view = memoryview(content)
        try:
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            if error.errno not in FULL:
                raise
            os.ftruncate(self._file.fileno(), end)  # it must not end within a character
            self._gap = True
        else:
            self._gap = False

    def _new(self, content: bytes) -> bytes:
        """What of it is not here yet."""
        if self._repeated is None:
            return content
        known = os.pread(self._file.fileno(), len(content), self._repeated)
        if content.startswith(known):
            self._repeated += len(known)
            if len(known) < len(content):
                self._repeated = None
            return content[len(known) :]
        os.ftruncate(self._file.fileno(), self._repeated)
        self._repeated = None
        return content


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a log, in bytes; both ends are beginnings of characters, or the log's end."""

    start: int
    end: int

    @property
    def size(self) -> int:
        return self.end - self.start


class LogReader:
    """A log, read in parts. One that a program has removed is empty. Raises OSError."""

    def __init__(self, path: Path) -> None:
        self._file = _open(path)
        self._size = 0 if self._file is None else os.fstat(self._file.fileno()).st_size

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()

    def span(self, offset: int, limit: int | None = None) -> Span:
        """The part from byte `offset` on, from the beginning of the character there.

        `limit`: how many bytes it has at most; a character that has more is a part all the same.
        """
        start = self._beginning(min(offset, self._size))
        if limit is None or offset + limit >= self._size:
            return Span(start, self._size)
        end = self._beginning(offset + limit)
        return Span(start, end if end > start else self._beginning(start + LONGEST_CHARACTER))

    def spans(self, whole: Span, size: int) -> Iterator[Span]:
        """A part in parts of about this size."""
        start = whole.start
        while start < whole.end:
            end = min(whole.end, self.span(start, size).end)
            yield Span(start, end)
            start = end

    def text(self, span: Span) -> str:
        """What is there."""
        if self._file is None:
            return ""
        return os.pread(self._file.fileno(), span.size, span.start).decode("utf-8", "replace")

    def _beginning(self, at: int) -> int:
        """Where the character at a byte begins."""
        if self._file is None or at >= self._size:
            return self._size
        first = max(0, at - LONGEST_CHARACTER + 1)
        content = os.pread(self._file.fileno(), at - first + 1, first)
        while len(content) > 1 and content[-1] & 0xC0 == 0x80:
            content = content[:-1]
        return first + len(content) - 1


def _open(path: Path) -> BinaryIO | None:
    """None where there is no regular file: its program may have done anything to it."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            raise
        return None
    if stat.S_ISREG(os.fstat(handle).st_mode):
        return os.fdopen(handle, "rb")
    os.close(handle)
    return None
