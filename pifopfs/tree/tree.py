"""The whole tree of one mount: inode numbers to nodes, and its parts put together."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import trio

from pifopfs.api import FunctionClient
from pifopfs.errors import NoSuchName, StateLocked
from pifopfs.machine import try_lock
from pifopfs.tree.background import Background
from pifopfs.tree.cache import OutputCache
from pifopfs.tree.closes import LastCloses
from pifopfs.tree.directories import ExecutionsDirectory, Root
from pifopfs.tree.executions import Executions
from pifopfs.tree.files import FunctionFile
from pifopfs.tree.hidden import HiddenDirectory, Provider
from pifopfs.tree.job import staging
from pifopfs.tree.layout import ROOT_INO
from pifopfs.tree.log import LOGS
from pifopfs.tree.looks import Looks
from pifopfs.tree.names import Names
from pifopfs.tree.nodes import Directory, Node, as_directory
from pifopfs.tree.pagecache import PageCache
from pifopfs.tree.raiserview import seen_by_raiser
from pifopfs.tree.settings import Settings
from pifopfs.tree.shared import FunctionInfo, Shared
from pifopfs.tree.storage import translated
from pifopfs.wire import Function, Status

MANY = 10**9
"""Executions that are allowed where the service does not tell: so many that none is near."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Executions used and allowed: those that run where `allowed` is told, else all known here."""

    used: int
    allowed: int | None


class Tree:
    """Nodes by inode number.

    Invariant: a node is in the table exactly while the kernel knows its number (the lookups that
    were counted, less those forgotten), the root always.
    """

    def __init__(self, root: Root, executions: Executions, shared: Shared) -> None:
        self.executions = executions
        self.looks = Looks()
        """At executions that may still change."""
        self.raiser: int | None = None
        """The process whose calls raise events for those who watch; see `raiserview`."""
        self._shared = shared
        self._nodes: dict[int, Node] = {root.ino: root}

    @property
    def pages(self) -> PageCache:
        """What the mount connects with the kernel's."""
        return self._shared.pages

    def node(self, ino: int, caller: int | None = None) -> Node:
        """What an inode number stands for, to a process that asks.

        Raises NoSuchName for a number that the kernel should have forgotten.
        """
        try:
            node = self._nodes[ino]
        except KeyError:
            raise NoSuchName(f"inode {ino}") from None
        if caller is not None and caller == self.raiser:
            return seen_by_raiser(node)
        self.looks.note(node)
        return node

    def known(self, ino: int) -> Node | None:
        """The same, where the kernel knows the number; that is no look."""
        return self._nodes.get(ino)

    def directory(self, ino: int, caller: int | None = None) -> Directory:
        """Raises NoSuchName, NotADirectory."""
        return as_directory(self.node(ino, caller))

    def remember(self, node: Node) -> None:
        """The kernel has been told of this node, once more."""
        itself = node.itself()
        if itself is node:
            self.looks.note(node)
        self._nodes.setdefault(node.ino, itself).lookups += 1

    def forget(self, lookups: Sequence[tuple[int, int]]) -> None:
        """The kernel has forgotten so many lookups of each number. Raises nothing."""
        for ino, count in lookups:
            node = self._nodes.get(ino)
            if node is not None and ino != ROOT_INO:
                node.lookups -= count
                if node.lookups <= 0:
                    del self._nodes[ino]

    def space(self) -> os.statvfs_result:
        """The disk that inputs are staged on."""
        with translated("statfs"):
            return os.statvfs(self._shared.settings.state_dir)

    def usage(self) -> Usage:
        """As far as it is known without asking."""
        allowed = self._shared.function.current.max_executions
        if allowed is None:
            return Usage(len(self.executions), None)
        running = sum(job.execution.state == Status.RUNNING for job in self.executions)
        return Usage(running, allowed)

    @property
    def cache(self) -> OutputCache:
        """The outputs that are here."""
        return self._shared.cache

    async def settle(self) -> None:
        """Return when no upload or creation is under way."""
        await self._shared.background.idle()

    def cut_uploads(self) -> None:
        """Let uploads under way fail."""
        self._shared.background.cut_short()

    async def last_closes(self) -> None:
        """Return when the kernel has told of every close that it was answered."""
        await self._shared.closes.none()

    def unmounted(self) -> None:
        """The kernel has let go of all files."""
        self._shared.closes.all_over()


@asynccontextmanager
async def open_tree(
    client: FunctionClient,
    function: Function,
    settings: Settings,
    providers: Mapping[str, Provider] | None = None,
) -> AsyncIterator[Tree]:
    """The tree of a mount, with a nursery for its background work, which ends with the block.

    `providers`: of the files of `.pifopfs`, which is not there without.
    Raises StateLocked where another mount uses the same names, LocalStorageFailed and -Full.
    """
    for folder in (settings.state_dir, settings.cache_dir):
        with translated(str(folder)):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(settings.state_dir / "lock"):
        shutil.rmtree(settings.cache_dir / LOGS, ignore_errors=True)  # those of an earlier mount
        names = Names(settings.state_dir / "names.sqlite")
        try:
            await trio.to_thread.run_sync(_clear_staging, settings, names.serials())
            cache = OutputCache(settings.cache_dir, settings.cache_size)
            async with trio.open_nursery() as nursery:
                background = Background(nursery)
                info = FunctionInfo(function, client, background, settings.function_age)
                closes, pages = LastCloses(), PageCache()
                shared = Shared(client, names, cache, background, closes, pages, settings, info)
                yield _build(shared, providers)
                nursery.cancel_scope.cancel()
        finally:
            names.close()


def _build(shared: Shared, providers: Mapping[str, Provider] | None) -> Tree:
    executions, now = Executions(shared), time.time_ns()
    function = FunctionFile(shared.function, now)
    hidden = None if providers is None else HiddenDirectory(providers, now)
    return Tree(Root(function, ExecutionsDirectory(executions), hidden), executions, shared)


def _clear_staging(settings: Settings, known: set[int]) -> None:
    """Remove the inputs of executions that were forgotten when an earlier mount died."""
    folder = staging(settings)
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.name.isdecimal() and int(path.name) not in known:
            shutil.rmtree(path, ignore_errors=True)  # what stays is tried again by the next mount


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock of a state folder."""
    with translated(str(path)):
        handle = try_lock(path)
    if handle is None:
        raise StateLocked(
            f"another mount uses the names in {path.parent}; "
            "unmount it, or give this one a folder of its own with --state-dir"
        )
    try:
        yield
    finally:
        os.close(handle)
