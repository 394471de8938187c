"""What every file and directory of the tree can do. By default it refuses, by name of the error.

A node is what an inode number stands for, a handle what an open file stands for. Nodes are thin:
state lives in the execution's parts, so that a node can be dropped and made again.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from stat import S_ISDIR

from pifopfs.errors import (
    AccessNotAllowed,
    IsADirectory,
    NoSuchName,
    NotADirectory,
    OperationNotPermitted,
)
from pifopfs.tree.growth import Pieces

LIVE = 0.0
STATIC = 1.0
"""Seconds that the kernel may keep attributes."""


@dataclass(frozen=True, slots=True)
class Attributes:
    """What stat shows. `mode` is before the umask; owner None: the mount's."""

    ino: int
    mode: int
    size: int
    mtime_ns: int
    attr_timeout: float = STATIC
    uid: int | None = None
    gid: int | None = None


@dataclass(frozen=True, slots=True)
class Changes:
    """What a caller wants set; None: left alone."""

    size: int | None = None
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    atime_ns: int | None = None
    mtime_ns: int | None = None


class Handle:
    """An open file."""

    direct_io = False
    """Reads go past the kernel's page cache."""
    keep_cache = False
    """What the page cache has of this file stays valid."""
    patient = False
    """A read may take as long as an execution runs."""
    untold: Pieces = ()
    """What the kernel must be told of before it has the handle."""

    async def read(self, offset: int, size: int) -> bytes | memoryview:
        """The bytes asked for; fewer only at the end of the file."""
        raise OperationNotPermitted("read", "it is not open for reading")

    async def write(self, offset: int, data: bytes) -> int:
        """Write all of `data`."""
        raise OperationNotPermitted("write", "it is not open for writing")

    def read_at_once(self, offset: int, size: int) -> bytes | memoryview | None:
        """As `read`, where the bytes are here and all is in order; otherwise None, and `read`
        says what is the matter. Raises nothing.
        """
        return None

    def write_at_once(self, offset: int, data: bytes) -> int:
        """As `write`, where nothing is to be noted of it; otherwise 0, and `write` does it.
        Raises nothing.
        """
        return 0

    async def flush(self, *, killed: bool) -> None:
        """Some descriptor of this handle was closed; `killed`: by its process being killed."""

    async def release(self) -> None:
        """The last descriptor is gone."""

    def ready(self) -> bool:
        """Whether a read would not block."""
        return True

    def notify_when_ready(self, callback: Callable[[], None] | None) -> None:
        """Call back once when `ready` becomes true. None: somebody only looks, and looks again."""


class Node(ABC):
    """A file or directory. There may be very many: every kind of them has slots."""

    __slots__ = ("ino", "lookups", "name")

    def __init__(self, ino: int, name: str) -> None:
        self.ino = ino
        self.name = name
        self.lookups = 0
        """How often the kernel was told of it, less what it has forgotten."""

    def where(self) -> str:
        """Its path from the mountpoint, for people."""
        return self.name

    def itself(self) -> Node:
        """The node; of a view of one, what is viewed."""
        return self

    @abstractmethod
    def attributes(self) -> Attributes:
        """What is known now."""

    async def look(self) -> Attributes:
        """As `attributes`, for a caller who may wait a moment for fresher ones."""
        return self.attributes()

    async def open(self, flags: int) -> Handle:
        """Open the file."""
        raise IsADirectory(self.name)

    async def change(self, changes: Changes, handle: Handle | None) -> Attributes:
        """Set attributes. By default a directory takes no notice, so that copies of trees work."""
        if not S_ISDIR(self.attributes().mode):
            what = AccessNotAllowed if changes.size is not None else OperationNotPermitted
            raise what(self.name, "only inputs can be changed")
        return await self.look()

    def target(self) -> str:
        """Where a symbolic link points."""
        raise OperationNotPermitted(self.name, "it is not a symbolic link")


class Directory(Node):
    """A directory."""

    __slots__ = ()

    async def lookup(self, name: str) -> Node:
        """The entry `name`. Raises NoSuchName."""
        raise NoSuchName(name)

    async def entries(self) -> Iterable[tuple[str, Node]]:
        """What a listing shows."""
        return ()

    async def create(self, name: str, mode: int, flags: int) -> tuple[Node, Handle]:
        """Make a file and open it."""
        raise AccessNotAllowed(name, "files can be created only in input")

    async def mkdir(self, name: str) -> Node:
        """Make a directory."""
        raise AccessNotAllowed(name, "directories can be created only in executions")

    async def unlink(self, name: str) -> None:
        """Remove a file."""
        raise OperationNotPermitted(name)

    async def rmdir(self, name: str) -> None:
        """Remove a directory."""
        raise OperationNotPermitted(name)

    async def rename(self, name: str, target: Directory, new: str, *, replace: bool) -> None:
        """Give an entry another name, or move it to `target`."""
        raise OperationNotPermitted(name, "it cannot be renamed")


def as_directory(node: Node) -> Directory:
    """Raises NotADirectory."""
    if not isinstance(node, Directory):
        raise NotADirectory(node.name)
    return node


def writes(flags: int) -> bool:
    """Whether open flags ask for writing."""
    return flags & os.O_ACCMODE != os.O_RDONLY


def reads(flags: int) -> bool:
    """Whether open flags ask for reading."""
    return flags & os.O_ACCMODE != os.O_WRONLY


def refuse_writing(node: Node, flags: int) -> None:
    """Raises AccessNotAllowed: root passes the kernel's check of the mode."""
    if writes(flags) or flags & os.O_TRUNC:
        raise AccessNotAllowed(node.name, "it can only be read")
