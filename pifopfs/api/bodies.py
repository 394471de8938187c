"""Bodies that are streamed: inputs going up, outputs coming down. Never a whole file in memory."""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, AsyncIterator
from pathlib import Path

import httpx
import trio

from pifopfs.api.transport import translated
from pifopfs.errors import BadAnswer, ConnectionBroken, RequestRejected

PIECE = 256 << 10
"""Bytes sent at once; a link that takes longer than the stall deadline for them counts as stuck."""

Content = bytes | Path | AsyncIterable[bytes]


class Upload:
    """The body of one try to upload. A file is opened anew for each, at its size of then."""

    def __init__(self, content: Content) -> None:
        self._content = content

    @property
    def repeatable(self) -> bool:
        """Whether it can be sent a second time."""
        return isinstance(self._content, bytes | Path)

    def headers(self) -> dict[str, str]:
        """Content-Length where it is known."""
        if isinstance(self._content, bytes):
            return {"Content-Length": str(len(self._content))}
        if isinstance(self._content, Path):
            return {"Content-Length": str(self._content.stat().st_size)}
        return {}

    async def pieces(self, length: str | None) -> AsyncIterator[bytes]:
        """The bytes: for a file exactly `length`, though it may grow meanwhile."""
        if isinstance(self._content, bytes):
            for start in range(0, len(self._content), PIECE):
                yield self._content[start : start + PIECE]
        elif isinstance(self._content, Path):
            async for piece in _file_pieces(self._content, int(length or 0)):
                yield piece
        else:
            async for piece in self._content:
                yield piece


async def _file_pieces(path: Path, left: int) -> AsyncIterator[bytes]:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        while left:
            piece = await trio.to_thread.run_sync(os.read, file, min(PIECE, left))
            if not piece:
                raise RequestRejected(f"upload of {path}", "the file became shorter meanwhile")
            left -= len(piece)
            yield piece
    finally:
        os.close(file)


class OutputStream:
    """The bytes of an output as they arrive. Iterate over it once.

    `length` is what the service announced, None where it did not, or where it encodes the body.
    Iteration raises ConnectionBroken or BadAnswer where the body is not of that length.
    """

    def __init__(self, tried: str, response: httpx.Response) -> None:
        self._tried = tried
        self._response = response
        encoded = response.headers.get("Content-Encoding", "identity") not in ("", "identity")
        length = response.headers.get("Content-Length")
        self._decode = encoded
        self.length: int | None = None
        if not encoded and length is not None:
            if not length.isdecimal():
                raise BadAnswer(tried, "its Content-Length is no number")
            self.length = int(length)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        received = 0
        response = self._response
        pieces = response.aiter_bytes() if self._decode else response.aiter_raw()
        with translated(self._tried):
            async for piece in pieces:
                received += len(piece)
                yield piece
        if self.length is not None and received != self.length:
            raise ConnectionBroken(
                self._tried, f"{received} bytes came where {self.length} were announced"
            )
