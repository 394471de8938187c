"""`.pifopfs/` at the mountpoint: what the mount tells of itself. Reading it makes no request.

Who makes the texts is not known here. As in /proc, a file is made anew for each open, and its size
is not known before.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from stat import S_IFDIR, S_IFREG

from pifopfs.errors import NoSuchName
from pifopfs.tree.files import SnapshotHandle
from pifopfs.tree.layout import HIDDEN, HIDDEN_FILES, HIDDEN_INO
from pifopfs.tree.nodes import LIVE, Attributes, Directory, Handle, Node, refuse_writing

Provider = Callable[[], Awaitable[bytes]]
"""Makes the text of a file, without a request to the service."""


class HiddenFile(Node):
    """`stats`, `config` or `requests`."""

    __slots__ = ("_provider",)

    def __init__(self, ino: int, name: str, provider: Provider) -> None:
        super().__init__(ino, name)
        self._provider = provider

    def where(self) -> str:
        return f"{HIDDEN}/{self.name}"

    def attributes(self) -> Attributes:
        return Attributes(self.ino, S_IFREG | 0o444, 0, time.time_ns(), LIVE)

    async def open(self, flags: int) -> Handle:
        refuse_writing(self, flags)
        return SnapshotHandle(await self._provider())


class HiddenDirectory(Directory):
    """The directory."""

    __slots__ = ("_files", "_mounted_ns")

    def __init__(self, providers: Mapping[str, Provider], mounted_ns: int) -> None:
        super().__init__(HIDDEN_INO, HIDDEN)
        self._mounted_ns = mounted_ns
        self._files: dict[str, Node] = {
            name: HiddenFile(ino, name, providers[name])
            for ino, name in enumerate(HIDDEN_FILES, HIDDEN_INO + 1)
        }

    def attributes(self) -> Attributes:
        return Attributes(self.ino, S_IFDIR | 0o555, 0, self._mounted_ns)

    async def lookup(self, name: str) -> Node:
        try:
            return self._files[name]
        except KeyError:
            raise NoSuchName(f"{HIDDEN}/{name}") from None

    async def entries(self) -> Iterable[tuple[str, Node]]:
        return self._files.items()
