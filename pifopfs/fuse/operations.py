"""Protocol adapter only: each request is one call into the tree and one reply.

What a request means is decided in `pifopfs.tree`, what a failure is answered with in `errnos`.
Calls that may block are listed in `calls`, so that they can be interrupted and watched. Facts this
rests on: flush must be implemented (its default answer turns it off for good); names arrive with
up to 1024 bytes.
"""

from __future__ import annotations

import errno
import logging
import os
import select
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from itertools import count
from typing import Any, TypeVar

import pyfuse3
from pyfuse3 import FileHandleT, FileNameT, FlagT, InodeT, ModeT, RequestContext

from pifopfs.errors import PifopfsError
from pifopfs.fuse.activity import Activity, OpenFile
from pifopfs.fuse.attributes import Ownership, changes, entry
from pifopfs.fuse.callers import Caller
from pifopfs.fuse.errnos import answered
from pifopfs.fuse.refusals import Refusals
from pifopfs.tree.nodes import Handle, Node
from pifopfs.tree.tree import MANY, Tree

log = logging.getLogger(__name__)

T = TypeVar("T")
Handler = Callable[[], Coroutine[Any, Any, T]]


class Operations(Refusals):
    """The requests of one mount."""

    supports_dot_lookup = False
    enable_writeback_cache = False
    enable_acl = False

    def __init__(self, tree: Tree, ownership: Ownership, activity: Activity) -> None:
        super().__init__(activity)
        self._tree = tree
        self._ownership = ownership
        self._calls = activity.calls
        self._numbers = count(1)
        self._files = activity.files
        self._listings: dict[int, list[tuple[str, Node]]] = {}

    # ── Helpers ──────────────────────────────────────────────────────────────────────────────

    async def _run(
        self,
        ctx: RequestContext,
        what: str,
        ino: int,
        handler: Handler[T],
    ) -> T:
        """Run a handler that may block, for the thread that asks."""
        return await self._calls.run(what, ctx.pid, ino, handler)

    async def _run_on(self, file: OpenFile, what: str, handler: Handler[T], **more: bool) -> T:
        """Run one on an open file."""
        ino = file.caller.ino
        return await self._calls.run(what, file.caller, ino, handler, **more)

    def _entry(self, node: Node) -> pyfuse3.EntryAttributes:
        return entry(node.attributes(), self._ownership)

    def _told(self, node: Node) -> pyfuse3.EntryAttributes:
        """Attributes for a reply that counts as a lookup."""
        attributes = self._entry(node)
        self._tree.remember(node)
        return attributes

    def _opened(self, node: Node, handle: Handle, ctx: RequestContext) -> pyfuse3.FileInfo:
        number = next(self._numbers)
        self._files[number] = OpenFile(node, handle, Caller.of(ctx.pid, node.ino))
        return pyfuse3.FileInfo(fh=number, direct_io=handle.direct_io, keep_cache=handle.keep_cache)

    # ── Names and attributes ─────────────────────────────────────────────────────────────────

    @answered
    async def lookup(
        self, parent_inode: InodeT, name: FileNameT, ctx: RequestContext
    ) -> pyfuse3.EntryAttributes:
        directory = self._tree.directory(parent_inode, ctx.pid)
        look_up = partial(directory.lookup, os.fsdecode(name))
        node = await self._run(ctx, "lookup", parent_inode, look_up)
        return self._told(node)

    async def forget(self, inode_list: Sequence[tuple[InodeT, int]]) -> None:
        self._tree.forget(inode_list)

    @answered
    async def getattr(self, inode: InodeT, ctx: RequestContext) -> pyfuse3.EntryAttributes:
        node = self._tree.node(inode, ctx.pid)
        return entry(await self._run(ctx, "getattr", inode, node.look), self._ownership)

    @answered
    async def setattr(
        self,
        inode: InodeT,
        attr: pyfuse3.EntryAttributes,
        fields: pyfuse3.SetattrFields,
        fh: FileHandleT | None,
        ctx: RequestContext,
    ) -> pyfuse3.EntryAttributes:
        node, wanted = self._tree.node(inode, ctx.pid), changes(attr, fields)
        handle = None if fh is None else self._files[fh].handle
        done = await self._run(ctx, "setattr", inode, partial(node.change, wanted, handle))
        return entry(done, self._ownership)

    @answered
    async def readlink(self, inode: InodeT, ctx: RequestContext) -> FileNameT:
        return os.fsencode(self._tree.node(inode).target())

    @answered
    async def statfs(self, ctx: RequestContext) -> pyfuse3.StatvfsData:
        space, result = self._tree.space(), pyfuse3.StatvfsData()
        for field in ("f_bsize", "f_frsize", "f_blocks", "f_bfree", "f_bavail"):
            setattr(result, field, getattr(space, field))
        usage = self._tree.usage()
        result.f_files = MANY if usage.allowed is None else usage.allowed
        result.f_ffree = result.f_favail = max(result.f_files - usage.used, 0)
        result.f_namemax = 255
        return result

    # ── Directories ──────────────────────────────────────────────────────────────────────────

    @answered
    async def opendir(self, inode: InodeT, ctx: RequestContext) -> FileHandleT:
        directory = self._tree.directory(inode)
        listing = list(await self._run(ctx, "opendir", inode, directory.entries))
        number = next(self._numbers)
        self._listings[number] = listing
        return number

    @answered
    async def readdir(self, fh: FileHandleT, start_id: int, token: pyfuse3.ReaddirToken) -> None:
        listing = self._listings[fh]
        for position, (name, node) in enumerate(listing[start_id:], start_id + 1):
            try:
                attributes = self._entry(node)
            except PifopfsError as error:  # of one file, which must not hide the others
                log.warning("%s is left out of a listing: %s", name, error)
                continue
            if not pyfuse3.readdir_reply(token, os.fsencode(name), attributes, position):
                break
            self._tree.remember(node)

    async def releasedir(self, fh: FileHandleT) -> None:
        del self._listings[fh]

    async def fsyncdir(self, fh: FileHandleT, datasync: bool) -> None:
        """Names are recorded before they are answered."""

    @answered
    async def mkdir(
        self, parent_inode: InodeT, name: FileNameT, mode: ModeT, ctx: RequestContext
    ) -> pyfuse3.EntryAttributes:
        directory = self._tree.directory(parent_inode)
        make = partial(directory.mkdir, os.fsdecode(name))
        return self._told(await self._run(ctx, "mkdir", parent_inode, make))

    @answered
    async def rmdir(self, parent_inode: InodeT, name: FileNameT, ctx: RequestContext) -> None:
        directory = self._tree.directory(parent_inode)
        remove = partial(directory.rmdir, os.fsdecode(name))
        await self._run(ctx, "rmdir", parent_inode, remove)

    @answered
    async def unlink(self, parent_inode: InodeT, name: FileNameT, ctx: RequestContext) -> None:
        await self._tree.directory(parent_inode).unlink(os.fsdecode(name))

    @answered
    async def rename(
        self,
        parent_inode_old: InodeT,
        name_old: FileNameT,
        parent_inode_new: InodeT,
        name_new: FileNameT,
        flags: FlagT,
        ctx: RequestContext,
    ) -> None:
        if flags & ~pyfuse3.RENAME_NOREPLACE:
            raise pyfuse3.FUSEError(errno.EINVAL)
        source = self._tree.directory(parent_inode_old)
        target = self._tree.directory(parent_inode_new)
        replace = not flags & pyfuse3.RENAME_NOREPLACE
        await source.rename(os.fsdecode(name_old), target, os.fsdecode(name_new), replace=replace)

    # ── Files ────────────────────────────────────────────────────────────────────────────────

    @answered
    async def open(self, inode: InodeT, flags: FlagT, ctx: RequestContext) -> pyfuse3.FileInfo:
        node = self._tree.node(inode, ctx.pid)
        handle = await self._run(ctx, "open", inode, partial(node.open, flags))
        for offset, piece in handle.untold:
            await self._tree.pages.store(inode, offset, piece)
        return self._opened(node, handle, ctx)

    @answered
    async def create(
        self,
        parent_inode: InodeT,
        name: FileNameT,
        mode: ModeT,
        flags: FlagT,
        ctx: RequestContext,
    ) -> tuple[pyfuse3.FileInfo, pyfuse3.EntryAttributes]:
        directory = self._tree.directory(parent_inode, ctx.pid)
        node, handle = await directory.create(os.fsdecode(name), mode, flags)
        return self._opened(node, handle, ctx), self._told(node)

    async def read(  # type: ignore[override]  # the binding takes any buffer
        self, fh: FileHandleT, off: int, size: int
    ) -> bytes | memoryview:
        activity = self.activity
        activity.reads += 1
        data = self._files[fh].handle.read_at_once(off, size)
        if data is None:
            data = await self._read(fh, off, size)
        activity.read += len(data)
        return data

    @answered
    async def _read(self, fh: FileHandleT, off: int, size: int) -> bytes | memoryview:
        file = self._files[fh]
        read = partial(file.handle.read, off, size)
        return await self._run_on(file, "read", read, patient=file.handle.patient)

    async def write(self, fh: FileHandleT, off: int, buf: bytes) -> int:
        activity = self.activity
        activity.writes += 1
        written = self._files[fh].handle.write_at_once(off, buf) or await self._write(fh, off, buf)
        activity.written += written
        return written

    @answered
    async def _write(self, fh: FileHandleT, off: int, buf: bytes) -> int:
        file = self._files[fh]
        return await self._run_on(file, "write", partial(file.handle.write, off, buf))

    @answered
    async def flush(self, fh: FileHandleT) -> None:
        file = self._files[fh]
        flush = partial(file.handle.flush, killed=file.caller.was_killed())
        await self._run_on(file, "flush", flush)

    @answered
    async def release(self, fh: FileHandleT) -> None:
        await self._files.pop(fh).handle.release()

    @answered
    async def fsync(self, fh: FileHandleT, datasync: bool) -> None:
        """Staged bytes are as safe as a close makes them; the service has them only after it."""

    @answered
    async def poll(
        self,
        inode: InodeT,
        fh: FileHandleT,
        poll_handle: pyfuse3.PollHandle | None,
        ctx: RequestContext,
    ) -> int:
        handle = self._files[fh].handle
        if handle.ready():
            return select.POLLIN | select.POLLOUT
        handle.notify_when_ready(None if poll_handle is None else poll_handle.notify)
        return 0
