"""A filesystem that calls itself sshfs, in which there is nothing: `networked.py MOUNTPOINT`.

Says so when it is mounted, and ends when it is unmounted.
"""

from __future__ import annotations

import errno
import os
import stat
import sys

import pyfuse3
import trio

MANY = 1 << 24


class Nothing(pyfuse3.Operations):
    """An empty folder with much room."""

    async def getattr(
        self, inode: pyfuse3.InodeT, ctx: pyfuse3.RequestContext | None = None
    ) -> pyfuse3.EntryAttributes:
        entry = pyfuse3.EntryAttributes()
        entry.st_ino = inode
        entry.st_mode = stat.S_IFDIR | 0o755  # type: ignore[assignment]
        entry.st_uid, entry.st_gid = os.getuid(), os.getgid()
        return entry

    async def lookup(
        self, parent_inode: pyfuse3.InodeT, name: bytes, ctx: pyfuse3.RequestContext
    ) -> pyfuse3.EntryAttributes:
        raise pyfuse3.FUSEError(errno.ENOENT)

    async def statfs(self, ctx: pyfuse3.RequestContext) -> pyfuse3.StatvfsData:
        told = pyfuse3.StatvfsData()
        told.f_bsize = told.f_frsize = 4096
        told.f_blocks = told.f_bfree = told.f_bavail = MANY
        told.f_files = told.f_ffree = told.f_favail = MANY
        told.f_namemax = 255
        return told


async def main() -> None:
    os.write(1, b"mounted\n")
    await pyfuse3.main()


if __name__ == "__main__":
    pyfuse3.init(Nothing(), sys.argv[1], {"fsname=elsewhere", "subtype=sshfs"})
    trio.run(main)
    pyfuse3.close(unmount=False)
