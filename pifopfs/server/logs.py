"""Logs on disk: what a program prints, as UTF-8 with bad bytes replaced, read from any byte on.

A log file always ends with a whole character, so that an offset of one answer fits the next.
"""

from __future__ import annotations

import codecs
import os
from pathlib import Path


class LogWriter:
    """Appends to a log. Use it as a context manager."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def __enter__(self) -> LogWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._append(self._decoder.decode(b"", final=True))
        self._file.close()

    def write(self, output: bytes) -> None:
        """Append what a program has printed; a character cut in two waits for its rest."""
        self._append(self._decoder.decode(output))

    def note(self, text: str) -> None:
        """Append a line of the server's own."""
        self._append(self._decoder.decode(b"", final=True) + f"pifopfs: {text}\n")
        self._decoder.reset()

    def _append(self, text: str) -> None:
        view = memoryview(text.encode("utf-8", "replace"))
        while view:
            view = view[self._file.write(view) :]


def read_log(path: Path, offset: int) -> tuple[int, str]:
    """The log from byte `offset` on, and where that really is: the start of a character."""
    with path.open("rb") as file:
        offset = min(offset, os.fstat(file.fileno()).st_size)
        start = max(0, offset - 3)
        file.seek(start)
        content = file.read()
    at = offset - start
    while at > 0 and at < len(content) and content[at] & 0xC0 == 0x80:
        at -= 1
    return start + at, content[at:].decode("utf-8", "replace")
