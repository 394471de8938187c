"""A minimal pyfuse3 filesystem, mounted on the argument: files that drop what is written."""

from __future__ import annotations

import itertools
import os
import stat
import sys
import time

import pyfuse3
import trio


class Dropping(pyfuse3.Operations):
    """New files, which can be written to; nothing is kept, not even a size."""

    supports_dot_lookup = False
    enable_writeback_cache = False

    def __init__(self) -> None:
        super().__init__()
        self._inodes = itertools.count(pyfuse3.ROOT_INODE + 1)
        self._files: dict[bytes, int] = {}

    async def getattr(self, inode, ctx=None):  # type: ignore[no-untyped-def]
        entry = pyfuse3.EntryAttributes()
        entry.st_ino = inode
        folder = inode == pyfuse3.ROOT_INODE
        entry.st_mode = stat.S_IFDIR | 0o700 if folder else stat.S_IFREG | 0o600
        entry.st_uid, entry.st_gid = os.getuid(), os.getgid()
        entry.st_atime_ns = entry.st_mtime_ns = entry.st_ctime_ns = time.time_ns()
        return entry

    async def lookup(self, parent_inode, name, ctx=None):  # type: ignore[no-untyped-def]
        if name not in self._files:
            raise pyfuse3.FUSEError(2)
        return await self.getattr(self._files[name])

    async def create(self, parent_inode, name, mode, flags, ctx):  # type: ignore[no-untyped-def]
        inode = self._files.setdefault(name, next(self._inodes))
        return pyfuse3.FileInfo(fh=inode), await self.getattr(inode)

    async def open(self, inode, flags, ctx):  # type: ignore[no-untyped-def]
        return pyfuse3.FileInfo(fh=inode)

    async def setattr(self, inode, attr, fields, fh, ctx):  # type: ignore[no-untyped-def]
        return await self.getattr(inode)

    async def write(self, fh, off, buf):  # type: ignore[no-untyped-def]
        return len(buf)

    async def flush(self, fh):  # type: ignore[no-untyped-def]
        """There is nothing to do."""

    async def release(self, fh):  # type: ignore[no-untyped-def]
        """There is nothing to do."""


def main(mountpoint: str) -> None:
    pyfuse3.init(Dropping(), mountpoint, {*pyfuse3.default_options, "fsname=dropping"})
    try:
        trio.run(pyfuse3.main)
    finally:
        pyfuse3.close(unmount=True)


if __name__ == "__main__":
    main(sys.argv[1])
