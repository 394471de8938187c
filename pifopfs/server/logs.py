"""Logs on disk: what a program prints, as UTF-8 with bad bytes replaced, read from any byte on.

A log file always ends with a whole character, so that an offset of one answer fits the next.
"""

from __future__ import annotations

import codecs
import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

FULL = {errno.ENOSPC, errno.EDQUOT}
GAP = "pifopfs: some output is missing here: the disk was full\n"


class LogWriter:
    """Appends to a log. Use it as a context manager.

    On a full disk output is lost rather than the run. Raises OSError where the disk fails.
    """

    def __init__(self, path: Path, limit: int | None = None) -> None:
        """`limit`: bytes of a program's output that are kept; what comes after is counted."""
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
        self._file = os.fdopen(os.open(path, flags | os.O_CLOEXEC, 0o600), "ab", buffering=0)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._gap = False
        """Output was lost, which is not yet said in the log."""
        self._room = limit
        self._dropped = 0

    def __enter__(self) -> LogWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._append(self._decoder.decode(b"", final=True))
        if self._dropped:
            self.note(f"[log truncated: {self._dropped} bytes dropped]")
        self._file.close()

    def write(self, output: bytes) -> None:
        """Append what a program has printed; a character cut in two waits for its rest."""
        if self._room is not None:
            kept = output[: self._room]
            self._room -= len(kept)
            self._dropped += len(output) - len(kept)
            output = kept
        self._append(self._decoder.decode(output))

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
        end = os.fstat(self._file.fileno()).st_size
        view = memoryview((GAP * self._gap + text).encode("utf-8", "replace"))
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


def read_log(path: Path, offset: int, limit: int | None = None) -> tuple[int, str]:
    """The log from byte `offset` on, and where that really is: the start of a character.

    `limit`: how many bytes to give at most. A log that a program has removed is empty.
    """
    file = _open(path)
    if file is None:
        return 0, ""
    with file:
        offset = min(offset, os.fstat(file.fileno()).st_size)
        start = max(0, offset - 3)
        file.seek(start)
        content = file.read() if limit is None else file.read(offset - start + limit)
        whole = not file.read(1)
    at = _begin(content, offset - start)
    end = len(content) if whole else _begin(content, len(content) - 1)
    return start + at, content[at:end].decode("utf-8", "replace")


def _begin(content: bytes, at: int) -> int:
    """Where the character at byte `at` begins."""
    while at > 0 and at < len(content) and content[at] & 0xC0 == 0x80:
        at -= 1
    return at


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
