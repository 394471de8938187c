"""Outputs on their way down, as streams: never a whole file in memory."""

from __future__ import annotations

import os
import zlib
from collections.abc import AsyncIterator, Iterator

import httpx

from pifopfs.api.incoming import Head, Incoming, Span
from pifopfs.api.pool import UNPARSED, Unparsed
from pifopfs.api.transport import translated
from pifopfs.api.unpacking import CODINGS, Unpacker
from pifopfs.errors import BadAnswer, ConnectionBroken

PIECE = 1 << 20


class OutputStream:
    """The bytes of an output, or of a part of it, as they arrive. Iterate over it once.

    `length` is what the service announced, None where it did not, or where it encodes the body.
    Iteration raises ConnectionBroken where the body is shorter than that, NoAnswer where it stalls.
    """

    def __init__(self, tried: str, response: httpx.Response, span: Span | None = None) -> None:
        self._tried = tried
        self._response = response
        self._start = span.start if span else 0
        self.unparsed = 0
        """Bytes that were read past the response."""
        coding = response.headers.get("Content-Encoding", "").strip().lower()
        self._packed = coding not in ("", "identity")
        if self._packed and (coding not in CODINGS or span is not None):
            raise BadAnswer(tried, "it comes packed in a way that was not asked for")
        self.head = Head.of(response.headers)
        """What the service told of it, or of its part."""
        if not self._packed and self.length is None and "Content-Length" in response.headers:
            raise BadAnswer(tried, "its Content-Length is no length")
        if span is not None and not span.is_in(response.headers):
            raise BadAnswer(tried, "it is not the part that was asked for")

    @property
    def length(self) -> int | None:
        """Bytes that come."""
        return self.head.length

    async def __aiter__(self) -> AsyncIterator[bytes]:
        unpacker = Unpacker() if self._packed else None
        with translated(self._tried):  # HTTP itself tells a body that is shorter than its length
            async for piece in self._response.aiter_raw():
                if unpacker is None:
                    yield piece
                    continue
                for unpacked in self._unpacked(unpacker, piece):
                    yield unpacked
        if unpacker is not None and not unpacker.whole:
            raise ConnectionBroken(self._tried, "the packed answer ended in the middle")

    async def save(self, incoming: Incoming, expected: int | None = None) -> None:
        """Write them to a file, each at its offset in the output; not much more than expected.

        Raises what iteration does, and OSError for the file.
        """
        unparsed = self._response.extensions.get(UNPARSED)
        if self.length is not None and isinstance(unparsed, Unparsed):
            await self._save_unparsed(unparsed, incoming)
            return
        offset = self._start
        async for piece in self:
            offset = _write_all(incoming.file, piece, offset)
            incoming.come_to(offset)
            if expected is not None and offset > self._start + expected:
                return

    async def _save_unparsed(self, body: Unparsed, incoming: Incoming) -> None:
        """The body is as long as was told, and comes as it is: read it from the connection."""
        offset, end = self._start, self._start + (self.length or 0)
        offset = _write_all(incoming.file, body.begun[: end - offset], offset)
        self.unparsed = offset - self._start
        buffer = memoryview(bytearray(PIECE))
        with translated(self._tried):
            while offset < end:
                incoming.come_to(offset)
                size = await body.stream.read_into(buffer[: end - offset], body.stall)
                if size == 0:
                    raise ConnectionBroken(self._tried, "the connection ended in the middle")
                offset = _write_all(incoming.file, buffer[:size], offset)
                self.unparsed += size
        incoming.come_to(offset)

    def _unpacked(self, unpacker: Unpacker, piece: bytes) -> Iterator[bytes]:
        try:
            yield from unpacker.feed(piece)
        except zlib.error:
            raise BadAnswer(self._tried, "the packed answer cannot be unpacked") from None


def _write_all(file: int, data: bytes | memoryview, offset: int) -> int:
    """Write at an offset; where it ends. Raises OSError."""
    view = memoryview(data)
    while view:
        written = os.pwrite(file, view, offset)
        view, offset = view[written:], offset + written
    return offset
