"""Inputs on their way up, as streams: never a whole file in memory."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import trio

from pifopfs.api.progress import Progress
from pifopfs.errors import RequestRejected

PIECE = 1 << 20
"""Bytes that are handed on at once."""


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A regular file by its descriptor, which stays open, and whose position is left alone."""

    descriptor: int
    progress: Progress | None = None
    """Is told how far it has been sent, where this process sends it."""


IDLE = 20.0
"""Seconds for which somebody may write nothing of a file that is uploaded meanwhile."""


BATCH = 4 << 20
"""Bytes that are waited for together."""


class Growing:
    """A file that is written while it is uploaded, from its beginning to its end, once."""

    def __init__(self, descriptor: int, progress: Progress | None = None) -> None:
        """`descriptor` stays open; its position is left alone."""
        self.descriptor = descriptor
        self.progress = progress or Progress()
        self.whole = False
        self._news = trio.Event()
        self._tell = self.wake

    def come_to(self, offset: int) -> None:
        """It is written as far as that."""
        if self.progress.come_to(offset):
            self._tell()

    def finish(self) -> None:
        """It is whole."""
        self.whole = True
        self._tell()

    def sent_elsewhere(self, progress: Progress, tell: Callable[[], None]) -> None:
        """Who sends it looks at `progress`, and is told with `tell` of what is new."""
        progress.take_over(self.progress)
        self.progress, self._tell = progress, tell

    def wake(self) -> None:
        """It has come to what was wanted, or is whole."""
        self._news.set()

    async def pieces(self) -> AsyncGenerator[bytes | memoryview, None]:
        """All of it, as it comes."""
        offset, pieces = 0, _Pieces(self.descriptor)
        while True:
            news = self._news = trio.Event()
            whole = self.whole  # and so was what `progress` tells now
            ready = self.progress.want(offset + BATCH) or whole
            end = self.progress.position
            if not ready:
                await self._wait(news)
            while ready and offset < end:
                piece = await pieces.read(end - offset, offset)
                offset += len(piece)
                yield piece
            if whole and offset == end:
                return

    async def _wait(self, news: trio.Event) -> None:
        """Raises RequestRejected where nobody writes any more."""
        with trio.move_on_after(IDLE) as scope:
            await news.wait()
        if scope.cancelled_caught:
            raise RequestRejected("upload", f"nothing more was written for {IDLE:g} s")


Content = bytes | Path | OpenFile | Growing | AsyncIterable[bytes]


class Upload:
    """What is uploaded; `body` makes the body of one try. A file is read anew for each."""

    def __init__(self, content: Content) -> None:
        self._content = content

    @property
    def repeatable(self) -> bool:
        """Whether it can be sent a second time."""
        return isinstance(self._content, bytes | Path | OpenFile)

    @property
    def size(self) -> int | None:
        """In bytes, where it is known before it is sent."""
        if isinstance(self._content, OpenFile):
            return os.fstat(self._content.descriptor).st_size
        return len(self._content) if isinstance(self._content, bytes) else None

    def body(self, sent: Callable[[], None]) -> UploadBody:
        """`sent` is called at its end. Raises OSError where a file cannot be opened, or is not a
        regular one.
        """
        if isinstance(self._content, bytes):
            return UploadBody(_slices(self._content), len(self._content), sent)
        if isinstance(self._content, OpenFile):
            length = os.fstat(self._content.descriptor).st_size
            pieces = _file_pieces(self._content.descriptor, length, self._content.progress)
            return UploadBody(pieces, length, sent)
        if isinstance(self._content, Path):
            file, length = _open_regular(self._content)
            return UploadBody(_file_pieces(file, length), length, sent, file)
        if isinstance(self._content, Growing):
            return UploadBody(self._content.pieces(), None, sent)
        return UploadBody(_passed_on(self._content), None, sent)


class UploadBody(httpx.AsyncByteStream):
    """The bytes of one request, for a file exactly `length`, though it may grow meanwhile.

    An iterator of its own: a generator that is given up in the middle, as when the service
    answers early, would be closed when the garbage collector finds it.
    """

    def __init__(
        self,
        pieces: AsyncGenerator[bytes | memoryview, None],
        length: int | None,
        sent: Callable[[], None],
        file: int | None = None,
    ) -> None:
        """`file` is a descriptor that is closed at the end."""
        self._pieces = pieces
        self._length = length
        self._sent = sent
        self.passed = 0
        """Bytes that were asked for so far."""
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

    async def __anext__(self) -> bytes:  # or another buffer: h11 takes any
        try:
            piece = await self._pieces.__anext__()
        except StopAsyncIteration:
            self.exhausted = True
            self._sent()
            raise
        self.passed += len(piece)
        return piece  # type: ignore[return-value]

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


async def _slices(content: bytes) -> AsyncGenerator[bytes | memoryview, None]:
    for start in range(0, len(content), PIECE):
        yield content[start : start + PIECE]


async def _file_pieces(
    file: int, length: int, progress: Progress | None = None
) -> AsyncGenerator[bytes | memoryview, None]:
    offset, pieces = 0, _Pieces(file)
    while offset < length:
        piece = await pieces.read(length - offset, offset)
        yield piece
        offset += len(piece)
        if progress is not None:
            progress.come_to(offset)


class _Pieces:
    """Reads a file piece by piece into one buffer: each is good until the next is read."""

    def __init__(self, file: int) -> None:
        self._file = file
        self._buffer = memoryview(bytearray(PIECE))

    async def read(self, size: int, offset: int) -> memoryview:
        """Some bytes, a piece at the most. Raises RequestRejected where there are none."""
        piece = self._buffer[:size]
        try:
            count = os.preadv(self._file, [piece], offset, os.RWF_NOWAIT)
        except OSError:  # they are not in memory, or who keeps them does not say
            count = await trio.to_thread.run_sync(os.preadv, self._file, [piece], offset)
        if count == 0:
            raise RequestRejected("upload", "the file became shorter meanwhile")
        return piece[:count]


async def _passed_on(content: AsyncIterable[bytes]) -> AsyncGenerator[bytes | memoryview, None]:
    pieces = aiter(content)
    try:
        async for piece in pieces:
            yield piece
    finally:
        if isinstance(pieces, AsyncGenerator):
            await pieces.aclose()
