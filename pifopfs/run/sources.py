"""The bytes of inputs, at hand before there is an execution.

What can be read only once (standard input, a pipe, `<(…)` of a shell) is copied to a temporary
file first: an upload may have to be repeated, and no execution waits at the service meanwhile.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import IO

import trio

from pifopfs.api import OpenFile
from pifopfs.api.progress import Progress
from pifopfs.errors import FileUnusable, OptionInvalid
from pifopfs.run.together import together
from pifopfs.run.wishes import Wish

PIECE = 1 << 20
STDIN = 0


@dataclass(slots=True)
class Transfer:
    """The bytes of one input or output on their way."""

    name: str
    size: int | None
    """None while it is not known."""
    progress: Progress = field(default_factory=Progress)


@dataclass(frozen=True, slots=True)
class Source:
    """One input: a regular file that is open."""

    descriptor: int
    transfer: Transfer

    @property
    def content(self) -> OpenFile:
        """As it is uploaded."""
        return OpenFile(self.descriptor, self.transfer.progress)


@asynccontextmanager
async def opened(wishes: Sequence[Wish]) -> AsyncIterator[list[Source]]:
    """All of them, while the block runs. Raises OptionInvalid for files that are not there."""
    with ExitStack() as stack:
        for wish in wishes:  # before anything is waited for
            _check(wish)
        sources: dict[str, Source] = {}

        async def open_one(wish: Wish) -> None:
            file = await trio.to_thread.run_sync(_open, wish, abandon_on_cancel=True)
            stack.callback(file.close)
            size = os.fstat(file.fileno()).st_size
            sources[wish.name] = Source(file.fileno(), Transfer(wish.name, size))

        await together(*(partial(open_one, wish) for wish in wishes))  # one pipe may feed another
        yield [sources[wish.name] for wish in wishes]


def _check(wish: Wish) -> None:
    if wish.path is None:
        return
    try:
        status = wish.path.stat()
    except OSError as error:
        raise OptionInvalid(f"-i {wish.name}: {wish.path}: {error.strerror}") from error
    if stat.S_ISDIR(status.st_mode):
        raise OptionInvalid(f"-i {wish.name}: {wish.path} is a directory; an input is one file")
    if not os.access(wish.path, os.R_OK):
        raise OptionInvalid(f"-i {wish.name}: {wish.path} may not be read by you")


def _open(wish: Wish) -> IO[bytes]:
    """A regular file with its bytes. Waits for who writes a pipe."""
    try:
        if wish.path is None:
            return _copied(STDIN)
        file = wish.path.open("rb")
        status = os.fstat(file.fileno())
        if stat.S_ISREG(status.st_mode) and status.st_size > 0:  # those of /proc are of no size
            return file
        with file:
            return _copied(file.fileno())
    except OSError as error:
        raise FileUnusable(f"-i {wish.name}={wish.shown}: {error.strerror or error}") from error


def _copied(source: int) -> IO[bytes]:
    with ExitStack() as undo:
        copy = undo.enter_context(tempfile.TemporaryFile(buffering=0))
        while piece := os.read(source, PIECE):
            _write_all(copy.fileno(), piece)
        undo.pop_all()
        return copy


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
