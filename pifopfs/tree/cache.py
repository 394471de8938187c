"""Complete outputs on the local disk, the least recently used going first.

A file gets its final name only when it is complete, so what is found here is whole. Handles hold
descriptors, so that removing a file takes nothing from its readers.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import NewType

import trio
from cachetools import LRUCache

from pifopfs.tree.storage import remove, translated
from pifopfs.wire import ExecutionId

log = logging.getLogger(__name__)

Key = NewType("Key", str)
"""Where an output is cached, relative to the cache folder."""


def cache_key(execution: ExecutionId, output: str) -> Key:
    """Both ids, each as one safe path component."""
    return Key(f"{component(execution)}/{component(output)}")


def component(text: str) -> str:
    """Short and safe whatever the service calls it; the end of an id helps a person who looks."""
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return f"{digest}-{re.sub('[^A-Za-z0-9_-]', '_', text)[-40:]}"


@dataclass(frozen=True, slots=True)
class CachedFile:
    """A complete output."""

    path: Path
    size: int


class _Files(LRUCache[Key, CachedFile]):
    """Unlinks what it evicts."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit, getsizeof=lambda file: max(file.size, 1))
        self.evictions = 0

    def popitem(self) -> tuple[Key, CachedFile]:
        key, file = super().popitem()
        remove(file.path)
        self.evictions += 1
        return key, file


def _sync(path: Path) -> None:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


class OutputCache:
    """The cache of one mount. Raises LocalStorageFull and LocalStorageFailed."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._complete = folder / "complete"
        self._spool = folder / "spool"
        self._files = _Files(limit)
        self.hits = self.misses = 0
        """What `find` has found, and has not."""
        with translated(str(folder)):
            shutil.rmtree(self._spool, ignore_errors=True)  # downloads that a crash cut short
            for part in (self._complete, self._spool):
                part.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._load()

    def _load(self) -> None:
        found = [
            (path.stat().st_atime_ns, path) for path in self._complete.glob("*/*") if path.is_file()
        ]
        for _, path in sorted(found):
            key = Key(f"{path.parent.name}/{path.name}")
            self._keep(key, CachedFile(path, path.stat().st_size))

    def spool(self, name: str) -> tuple[int, Path]:
        """A new file for a download: its descriptor (read and write) and its path."""
        with translated(name):
            self._spool.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, path = tempfile.mkstemp(dir=self._spool)
        return handle, Path(path)

    def complete(self, key: Key, spooled: Path, size: int) -> None:
        """A download is whole. Later mounts have it once `settle` has returned."""
        self._keep(key, CachedFile(spooled, size))

    async def settle(self, key: Key) -> None:
        """Move it to where later mounts look, as soon as it is on the disk for sure.

        A file that a power cut has left full of zeros would be as long as a whole one.
        """
        file = self._files.get(key)
        if file is None:
            return
        path = self._complete / key
        with translated(key):
            await trio.to_thread.run_sync(_sync, file.path)
            if self._files.get(key) is file:
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                file.path.replace(path)
                self._keep(key, CachedFile(path, file.size))

    def _keep(self, key: Key, file: CachedFile) -> None:
        try:
            self._files[key] = file
        except ValueError:
            log.info("%s (%d bytes) is larger than the whole cache: not kept", key, file.size)
            remove(file.path)

    def size(self, key: Key) -> int | None:
        """The size of a complete output, None where it is not here."""
        file = self._files.get(key)
        return None if file is None else file.size

    def __len__(self) -> int:
        return len(self._files)

    @property
    def used(self) -> int:
        """Bytes."""
        return int(self._files.currsize)

    @property
    def limit(self) -> int:
        """Bytes."""
        return int(self._files.maxsize)

    @property
    def evictions(self) -> int:
        """How many had to make room for others."""
        return self._files.evictions

    def find(self, key: Key) -> tuple[int, int] | None:
        """As `open`, for somebody who wants to read it: that is counted."""
        found = self.open(key)
        if found is None:
            self.misses += 1
        else:
            self.hits += 1
        return found

    def open(self, key: Key) -> tuple[int, int] | None:
        """A descriptor for reading and the size, None where it is not here."""
        file = self._files.get(key)
        if file is None:
            return None
        try:
            return os.open(file.path, os.O_RDONLY | os.O_CLOEXEC), file.size
        except FileNotFoundError:  # somebody has emptied the cache folder
            self.drop(key)
            return None

    def drop(self, key: Key) -> None:
        """Forget an output's bytes."""
        file = self._files.pop(key, None)
        if file is not None:
            remove(file.path)

    def drop_execution(self, execution: ExecutionId) -> None:
        """Forget all outputs of an execution."""
        prefix = f"{component(execution)}/"
        for key in [key for key in self._files if key.startswith(prefix)]:
            self.drop(key)
        shutil.rmtree(self._complete / prefix, ignore_errors=True)
