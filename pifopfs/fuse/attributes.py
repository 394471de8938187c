"""The tree's attributes as the kernel wants them: owner and umask are the mount's."""

from __future__ import annotations

from dataclasses import dataclass
from stat import S_IFMT, S_ISLNK

import pyfuse3

from pifopfs.tree.nodes import STATIC, Attributes, Changes

BLOCK_SIZE = 1 << 20
"""What stdio and cp take as their buffer: large, because every write is a request."""


@dataclass(frozen=True, slots=True)
class Ownership:
    """Whose the files are, and which permission bits are masked out."""

    uid: int
    gid: int
    umask: int = 0o077


def entry(attributes: Attributes, ownership: Ownership) -> pyfuse3.EntryAttributes:
    """For lookup, getattr, setattr, create, mkdir and readdir."""
    result = pyfuse3.EntryAttributes()
    mode = attributes.mode
    if not S_ISLNK(mode):
        mode = S_IFMT(mode) | mode & 0o7777 & ~ownership.umask
    result.st_ino = attributes.ino
    result.st_mode = mode
    result.st_nlink = 1  # also for directories: tools then don't count subdirectories by it
    result.st_uid = ownership.uid if attributes.uid is None else attributes.uid
    result.st_gid = ownership.gid if attributes.gid is None else attributes.gid
    result.st_size = attributes.size
    result.st_blksize = BLOCK_SIZE
    result.st_blocks = (attributes.size + 511) // 512
    result.st_atime_ns = attributes.mtime_ns
    result.st_mtime_ns = attributes.mtime_ns
    result.st_ctime_ns = attributes.mtime_ns
    result.attr_timeout = attributes.attr_timeout
    result.entry_timeout = STATIC
    return result


def changes(attr: pyfuse3.EntryAttributes, fields: pyfuse3.SetattrFields) -> Changes:
    """What a setattr request asks for."""
    return Changes(
        size=attr.st_size if fields.update_size else None,
        mode=attr.st_mode if fields.update_mode else None,
        uid=attr.st_uid if fields.update_uid else None,
        gid=attr.st_gid if fields.update_gid else None,
        atime_ns=attr.st_atime_ns if fields.update_atime else None,
        mtime_ns=attr.st_mtime_ns if fields.update_mtime else None,
    )
