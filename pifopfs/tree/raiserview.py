"""The tree as the raiser sees it: the process whose calls raise events for those who watch.

The kernel tells watchers of what is done through the mount, and of nothing else. So a process does
what a local program would do that writes the file, and to it alone that succeeds, without effect:
files look as if they could be written, outputs as if they were not there yet.
"""

from __future__ import annotations

from dataclasses import replace

from pifopfs.errors import NoSuchName
from pifopfs.tree.directories import ExecutionsDirectory, OutputDirectory
from pifopfs.tree.nodes import Attributes, Changes, Directory, Handle, Node
from pifopfs.tree.transfers import OutputFile


class RaiserHandle(Handle):
    """Open for writing, and nothing is written. What the kernel has of the file stays."""

    keep_cache = True


class RaiserFile(Node):
    """A file that can be opened for writing, and its times be set, without effect."""

    __slots__ = ("_node",)

    def __init__(self, node: Node) -> None:
        super().__init__(node.ino, node.name)
        self._node = node

    def itself(self) -> Node:
        return self._node

    def attributes(self) -> Attributes:
        attributes = self._node.attributes()
        return replace(attributes, mode=attributes.mode | 0o200)

    async def open(self, flags: int) -> Handle:
        return RaiserHandle()

    async def change(self, changes: Changes, handle: Handle | None) -> Attributes:
        return self.attributes()


class RaiserDirectory(Directory):
    """A directory, in which outputs can be created that are there."""

    __slots__ = ("_directory",)

    def __init__(self, directory: Directory) -> None:
        super().__init__(directory.ino, directory.name)
        self._directory = directory

    def itself(self) -> Node:
        return self._directory

    def attributes(self) -> Attributes:
        return self._directory.attributes()

    async def lookup(self, name: str) -> Node:
        directory = self._directory
        if isinstance(directory, OutputDirectory):
            raise NoSuchName(name, "it is about to appear")
        if isinstance(directory, ExecutionsDirectory):  # which would ask the service for an id
            return seen_by_raiser(directory.find(name))
        return seen_by_raiser(await directory.lookup(name))

    async def create(self, name: str, mode: int, flags: int) -> tuple[Node, Handle]:
        directory = self._directory
        if not isinstance(directory, OutputDirectory):
            return await directory.create(name, mode, flags)
        return RaiserFile(
            OutputFile(directory.job, directory.job.outputs.get(name))
        ), RaiserHandle()


def seen_by_raiser(node: Node) -> Node:
    """What the raiser is shown instead of a node."""
    return RaiserDirectory(node) if isinstance(node, Directory) else RaiserFile(node)
