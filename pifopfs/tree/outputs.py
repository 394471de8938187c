"""The outputs of one execution: sizes without a download, bytes when somebody reads.

Handles are of two kinds: on the complete file in the cache (the kernel may keep its pages), or on
a download under way (every read asks here).
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from enum import Enum

import trio

from pifopfs.api import Head
from pifopfs.errors import (
    ExecutionUnknown,
    NoSuchName,
    OutputChanged,
    OutputUnknown,
    ServiceError,
)
from pifopfs.tree.background import SingleFlight
from pifopfs.tree.cache import Key, cache_key
from pifopfs.tree.downloads import Download
from pifopfs.tree.execution import Execution
from pifopfs.tree.growth import Pieces, growth
from pifopfs.tree.layout import is_file_name
from pifopfs.tree.storage import read_at, translated

log = logging.getLogger(__name__)


SOON = 64 << 20
"""Bytes of an output that an `open` waits for; a larger one begins with the first read."""

UNTOLD = Head(None)

Identity = tuple[int, int, int]
"""Of a file in the cache: device, inode number, time of its last change."""


class Paging(Enum):
    """What the kernel's page cache has to do with a handle."""

    NEVER = "reads go past it"
    ANEW = "what it has of the file is dropped"
    KEPT = "what it has of the file is true"


@dataclass(eq=False, slots=True)
class CompleteReader:
    """Reads the file in the cache, also after it has gone from there."""

    name: str
    file: int
    complete: bool = True

    async def read(self, offset: int, size: int) -> bytes | memoryview:
        return self.read_now(offset, size)

    def read_now(self, offset: int, size: int) -> bytes:
        with translated(self.name):
            return os.pread(self.file, size, offset)

    def read_at_once(self, offset: int, size: int) -> bytes | memoryview | None:
        try:
            return read_at(self.file, size, offset)
        except OSError:
            return None

    def close(self) -> None:
        os.close(self.file)


@dataclass(eq=False, slots=True)
class DownloadReader:
    """Reads a download while it grows."""

    download: Download
    complete: bool = False

    async def read(self, offset: int, size: int) -> bytes | memoryview:
        return await self.download.read(offset, size)

    def read_at_once(self, offset: int, size: int) -> bytes | memoryview | None:
        return self.download.read_at_once(offset, size)

    def close(self) -> None:
        self.download.leave()


@dataclass(eq=False, slots=True)
class Output:
    """One output of an ended execution."""

    execution: Execution
    name: str
    ino: int
    _head: Head = UNTOLD
    """What the service says of it, once asked."""
    _trusted: bool = True
    """No download has had another length than was told."""
    _ask_again: float = -math.inf
    """When it may be asked again, on trio's clock."""
    told: int = 0
    """The size that the kernel knows."""
    _paged: Identity | None = None
    """The file whose bytes the kernel may have in its page cache."""
    _paging: int = 0
    """Open handles by which it may read more of them."""
    _download: Download | None = None
    _ask: SingleFlight[None] = field(init=False)

    def __post_init__(self) -> None:
        self._ask = SingleFlight(self.execution.shared.background, self._ask_size)

    @property
    def _key(self) -> Key:
        return cache_key(self.execution.id, self.name)

    @property
    def size(self) -> int | None:
        """The length as far as it is known without asking."""
        size = self.execution.shared.cache.size(self._key)
        if size is None and self._download is not None and self._download.complete:
            return self._download.length
        if size is None:
            size = self._head.length
        return self._told_size if size is None else size

    @property
    def _told_size(self) -> int | None:
        """The length that the Execution object tells."""
        if not self._trusted:
            return None
        specs = (spec for spec in self.execution.outputs if spec.id == self.name)
        return next((spec.size for spec in specs), None)

    async def learn_size(self) -> int | None:
        """Ask the service for the length, once, and wait for it a moment.

        None where it does not tell, or has not answered just now.
        """
        if self.size is None:
            await self._learn_head()
        return self.size

    async def _learn_head(self) -> None:
        if trio.current_time() >= self._ask_again and not self.execution.gone:
            with trio.move_on_after(self.execution.shared.settings.patience) as scope:
                await self._ask()
            if scope.cancelled_caught:
                self._ask_later()

    async def _ask_size(self) -> None:
        client, self._ask_again = self.execution.shared.client, math.inf
        try:
            self._head = await client.output_head(self.execution.id, self.name)
        except ServiceError as error:
            log.info("size of output %s of %s: %s", self.name, self.execution.id, error)
            if not isinstance(error, OutputUnknown | ExecutionUnknown):
                self._ask_later()

    def _ask_later(self) -> None:
        self._ask_again = trio.current_time() + self.execution.shared.settings.size_recheck

    async def open(self) -> CompleteReader | DownloadReader:
        """A reader; its length is known when this returns. Raises ServiceError, OutputChanged."""
        self.execution.check_alive()
        cached = self.execution.shared.cache.find(self._key)
        if cached is not None:
            return CompleteReader(self.name, cached[0])
        if self._download is not None and isinstance(self._download.error, OutputChanged):
            self._head, self._download = UNTOLD, None  # the download itself tells it now
            self._trusted = False
        elif self.size is None or self.size > SOON:
            await self._learn_head()
        download = self._join()
        reader = DownloadReader(download)
        try:
            length = await download.know_length()
            self._head = replace(self._head, length=length)
            if length <= SOON:
                with trio.move_on_after(self.execution.shared.settings.whole_wait):
                    await download.ended()
                    download.check()
        except BaseException:
            reader.close()
            raise
        cached = self.execution.shared.cache.open(self._key) if download.complete else None
        if cached is None:
            return reader
        reader.close()
        return CompleteReader(self.name, cached[0])

    def _join(self) -> Download:
        download = self._download
        if download is None or download.error is not None or download.readers == 0:
            head = replace(self._head, length=self.size)
            download = Download(self.execution, self.name, self._key, head)
            self._download = download
        download.readers += 1
        return download

    def page(self, reader: CompleteReader) -> Paging:
        """How the kernel may cache a handle: pages of two downloads must never meet.

        `unpage` is called when a handle that it may cache is closed.
        """
        status = os.fstat(reader.file)
        identity = (status.st_dev, status.st_ino, status.st_mtime_ns)
        known = identity == self._paged
        if not known and self._paging:
            return Paging.NEVER
        self._paged = identity
        self._paging += 1
        return Paging.KEPT if known else Paging.ANEW

    def unpage(self) -> None:
        """A handle is closed that the kernel could cache."""
        self._paging -= 1

    def untold(self, reader: CompleteReader) -> Pieces:
        """What the kernel does not know of, where its size was not known either."""
        told, self.told = self.told, self.size or 0
        return growth(told, self.told, reader.read_now)

    def drop(self) -> None:
        """Forget the cached bytes."""
        self.execution.shared.cache.drop(self._key)

    def die(self) -> None:
        """The execution was terminated."""
        if self._download is not None:
            self._download.end()


class OutputFolder:
    """The files of `output/`."""

    def __init__(self, execution: Execution, next_ino: Callable[[], int]) -> None:
        self._execution = execution
        self._next_ino = next_ino
        self._outputs: dict[str, Output] = {}

    def __iter__(self) -> Iterator[Output]:
        ids = [spec.id for spec in self._execution.outputs]
        odd = [id_ for id_ in ids if not is_file_name(id_)]
        if odd:
            log.warning(
                "outputs of %s that no file can be named after: %r", self._execution.id, odd
            )
        return iter([self.get(id_) for id_ in dict.fromkeys(ids) if id_ not in odd])

    def get(self, name: str) -> Output:
        """Raises NoSuchName."""
        if all(spec.id != name for spec in self._execution.outputs):
            raise NoSuchName(f"output/{name}")
        if name not in self._outputs:
            self._outputs[name] = Output(self._execution, name, self._next_ino())
        return self._outputs[name]

    def die(self) -> None:
        """The execution was terminated: unfinished downloads fail, cached files go."""
        for output in self._outputs.values():
            output.die()
        self._execution.shared.cache.drop_execution(self._execution.id)
