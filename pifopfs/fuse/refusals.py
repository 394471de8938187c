"""The calls that mean nothing here.

getxattr and its kin must answer ENOSYS, which the kernel remembers and shows as EOPNOTSUPP: any
other errno would let every write cost a second request.
"""

from __future__ import annotations

import errno
from typing import NoReturn

import pyfuse3
from pyfuse3 import FileNameT, InodeT, ModeT, RequestContext, XAttrNameT

from pifopfs.fuse.activity import Activity


class Refusals(pyfuse3.Operations):
    """No links, no devices, no extended attributes."""

    def __init__(self, activity: Activity) -> None:
        super().__init__()
        self.activity = activity

    def _refuse(self, what: str, number: int) -> NoReturn:
        self.activity.operations[what] += 1
        self.activity.errors[what, number] += 1
        raise pyfuse3.FUSEError(number)

    async def link(
        self, inode: InodeT, new_parent_inode: InodeT, new_name: FileNameT, ctx: RequestContext
    ) -> NoReturn:
        self._refuse("link", errno.EPERM)

    async def symlink(
        self, parent_inode: InodeT, name: FileNameT, target: FileNameT, ctx: RequestContext
    ) -> NoReturn:
        self._refuse("symlink", errno.EPERM)

    async def mknod(
        self, parent_inode: InodeT, name: FileNameT, mode: ModeT, rdev: int, ctx: RequestContext
    ) -> NoReturn:
        self._refuse("mknod", errno.EPERM)

    async def getxattr(self, inode: InodeT, name: XAttrNameT, ctx: RequestContext) -> NoReturn:
        self._refuse("getxattr", errno.ENOSYS)

    async def listxattr(self, inode: InodeT, ctx: RequestContext) -> NoReturn:
        self._refuse("listxattr", errno.ENOSYS)

    async def setxattr(
        self, inode: InodeT, name: XAttrNameT, value: bytes, ctx: RequestContext
    ) -> NoReturn:
        self._refuse("setxattr", errno.ENOSYS)

    async def removexattr(self, inode: InodeT, name: XAttrNameT, ctx: RequestContext) -> NoReturn:
        self._refuse("removexattr", errno.ENOSYS)
