"""The calls that mean nothing here.

getxattr and its kin must answer ENOSYS, which the kernel remembers and shows as EOPNOTSUPP: any
other errno would let every write cost a second request.
"""

from __future__ import annotations

import errno
from typing import NoReturn

import pyfuse3
from pyfuse3 import FileNameT, InodeT, ModeT, RequestContext, XAttrNameT


class Refusals(pyfuse3.Operations):
    """No links, no devices, no extended attributes."""

    async def link(
        self, inode: InodeT, new_parent_inode: InodeT, new_name: FileNameT, ctx: RequestContext
    ) -> NoReturn:
        raise pyfuse3.FUSEError(errno.EPERM)

    async def symlink(
        self, parent_inode: InodeT, name: FileNameT, target: FileNameT, ctx: RequestContext
    ) -> NoReturn:
        raise pyfuse3.FUSEError(errno.EPERM)

    async def mknod(
        self, parent_inode: InodeT, name: FileNameT, mode: ModeT, rdev: int, ctx: RequestContext
    ) -> NoReturn:
        raise pyfuse3.FUSEError(errno.EPERM)

    async def getxattr(self, inode: InodeT, name: XAttrNameT, ctx: RequestContext) -> NoReturn:
        raise pyfuse3.FUSEError(errno.ENOSYS)

    async def listxattr(self, inode: InodeT, ctx: RequestContext) -> NoReturn:
        raise pyfuse3.FUSEError(errno.ENOSYS)

    async def setxattr(
        self, inode: InodeT, name: XAttrNameT, value: bytes, ctx: RequestContext
    ) -> NoReturn:
        raise pyfuse3.FUSEError(errno.ENOSYS)

    async def removexattr(self, inode: InodeT, name: XAttrNameT, ctx: RequestContext) -> NoReturn:
        raise pyfuse3.FUSEError(errno.ENOSYS)
