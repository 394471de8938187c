"""Bodies that are streamed: inputs going up, outputs coming down. Never a whole file in memory."""

from __future__ import annotations

import errno
import os
import stat
import zlib
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import trio

from pifopfs.api.transport import translated
from pifopfs.api.unpacking import CODINGS, Unpacker
from pifopfs.errors import BadAnswer, ConnectionBroken, RequestRejected

LARGEST = 2**63 - 1
"""Bytes of the largest file."""
PIECE = 256 << 10
"""Bytes sent at once; a link that takes longer than the stall deadline for them counts as stuck."""


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A regular file by its descriptor, which stays open, and whose position is left alone."""

    descriptor: int


Content = bytes | Path | OpenFile | AsyncIterable[bytes]


class Upload:
    """What is uploaded; `body` makes the body of one try. A file is read anew for each."""

    def __init__(self, content: Content) -> None:
        self._content = content

    @property
    def repeatable(self) -> bool:
        """Whether it can be sent a second time."""
        return isinstance(self._content, bytes | Path | OpenFile)

    def body(self, sent: Callable[[], None]) -> UploadBody:
        """`sent` is called at its end. Raises OSError where a file cannot be opened, or is not a
        regular one.
        """
        if isinstance(self._content, bytes):
            return UploadBody(_slices(self._content), len(self._content), sent)
        if isinstance(self._content, OpenFile):
            length = os.fstat(self._content.descriptor).st_size
            return UploadBody(_file_pieces(self._content.descriptor, length), length, sent)
        if isinstance(self._content, Path):
            file, length = _open_regular(self._content)
            return UploadBody(_file_pieces(file, length), length, sent, file)
        return UploadBody(_passed_on(self._content), None, sent)


class UploadBody(httpx.AsyncByteStream):
    """The bytes of one request, for a file exactly `length`, though it may grow meanwhile.

    An iterator of its own: a generator that is given up in the middle, as when the service
    answers early, would be closed when the garbage collector finds it.
    """

    def __init__(
        self,
        pieces: AsyncGenerator[bytes, None],
        length: int | None,
        sent: Callable[[], None],
        file: int | None = None,
    ) -> None:
        """`file` is a descriptor that is closed at the end."""
        self._pieces = pieces
        self._length = length
        self._sent = sent
        self.exhausted = False
        """All of it was asked for."""
        self._file = file

    def headers(self) -> dict[str, str]:
        """How its end is told."""
        if self._length is None:
            return {"Transfer-Encoding": "chunked"}
        return {"Content-Length": str(self._length)}

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await self._pieces.__anext__()
        except StopAsyncIteration:
            self.exhausted = True
            self._sent()
            raise

    async def aclose(self) -> None:
        try:
            await self._pieces.aclose()
        finally:
            if self._file is not None:
                os.close(self._file)
                self._file = None


def _open_regular(path: Path) -> tuple[int, int]:
    """A descriptor and its length. Raises OSError for what is not a regular file with a length.

    Opening a pipe would block the event loop; the files of /proc have no length, and bytes.
    """
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    status = os.fstat(file)
    problem = "it is not a regular file"
    if stat.S_ISREG(status.st_mode):
        if status.st_size > 0 or not os.pread(file, 1, 0):
            return file, status.st_size
        problem = "its length is not known before it is read"
    os.close(file)
    raise OSError(errno.EINVAL, problem, str(path))


async def _slices(content: bytes) -> AsyncGenerator[bytes, None]:
    for start in range(0, len(content), PIECE):
        yield content[start : start + PIECE]


async def _file_pieces(file: int, length: int) -> AsyncGenerator[bytes, None]:
    offset = 0
    while offset < length:
        size = min(PIECE, length - offset)
        piece = await trio.to_thread.run_sync(os.pread, file, size, offset)
        if not piece:
            raise RequestRejected("upload", "the file became shorter meanwhile")
        offset += len(piece)
        yield piece


async def _passed_on(content: AsyncIterable[bytes]) -> AsyncGenerator[bytes, None]:
    pieces = aiter(content)
    try:
        async for piece in pieces:
            yield piece
    finally:
        if isinstance(pieces, AsyncGenerator):
            await pieces.aclose()


class OutputStream:
    """The bytes of an output as they arrive. Iterate over it once.

    `length` is what the service announced, None where it did not, or where it encodes the body.
    Iteration raises ConnectionBroken where the body is shorter than that, NoAnswer where it stalls.
    """

    def __init__(self, tried: str, response: httpx.Response) -> None:
        self._tried = tried
        self._response = response
        coding = response.headers.get("Content-Encoding", "").strip().lower()
        self._packed = coding not in ("", "identity")
        if self._packed and coding not in CODINGS:
            raise BadAnswer(tried, "it comes packed in a way that was not asked for")
        length = response.headers.get("Content-Length")
        self.length: int | None = None
        if not self._packed and length is not None:
            self.length = output_length(length)
            if self.length is None:
                raise BadAnswer(tried, "its Content-Length is no length")

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

    def _unpacked(self, unpacker: Unpacker, piece: bytes) -> Iterator[bytes]:
        try:
            yield from unpacker.feed(piece)
        except zlib.error:
            raise BadAnswer(self._tried, "the packed answer cannot be unpacked") from None


def output_length(text: str) -> int | None:
    """The length that a Content-Length tells; None for what no file can have."""
    length = int(text) if text.isdecimal() and len(text) < len(str(LARGEST)) + 1 else None
    return length if length is not None and length <= LARGEST else None
