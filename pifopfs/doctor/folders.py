"""Where files are kept: state, cache, sockets. Looked at, never made."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from pifopfs.doctor.findings import Finding, ok, problem, skipped, warning
from pifopfs.doctor.records import runtime_folder
from pifopfs.doctor.subject import Subject
from pifopfs.machine import LONGEST_SOCKET_PATH, Mounted, mounts

MB = 1 << 20
SCARCE, LITTLE = 16 * MB, 512 * MB
"""Bytes that are free: as good as none, and soon none."""
SCARCE_FILES, FEW_FILES = 100, 1000
NETWORKED = {
    "9p", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "fuse.ceph", "fuse.davfs2",
    "fuse.glusterfs", "fuse.mountpoint-s3", "fuse.rclone", "fuse.s3fs", "fuse.sshfs", "gfs2",
    "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "smb3", "smbfs",
}  # fmt: skip
"""Filesystems whose locks and power cuts SQLite does not count on."""
SOCKET_NAME = "mounts/0123456789abcdef.sock"
"""As long as the longest below the runtime folder."""


def state(subject: Subject) -> Iterator[Finding]:
    """Names and inputs that the service lacks."""
    yield from _named(subject, "state_dir")


def cache(subject: Subject) -> Iterator[Finding]:
    """Downloaded outputs."""
    yield from _named(subject, "cache_dir")


def _named(subject: Subject, setting: str) -> Iterator[Finding]:
    if subject.values is None:
        yield skipped("where it is, is not known: see the configuration")
    else:
        yield from _looked_at(subject.values[setting].value, f"--{setting.replace('_', '-')}")


def runtime(_: Subject) -> Iterator[Finding]:
    """Sockets and records of what runs now."""
    try:
        folder = runtime_folder()
    except OSError as error:
        yield problem(str(error), "set XDG_RUNTIME_DIR to a folder of your own")
        return
    if len(os.fsencode(folder / SOCKET_NAME)) > LONGEST_SOCKET_PATH:
        yield problem(
            f"{folder} is too long for the path of a socket",
            f"set XDG_RUNTIME_DIR to a folder of a shorter name ({LONGEST_SOCKET_PATH} bytes for "
            "the whole path)",
        )
        return
    if os.environ.get("XDG_RUNTIME_DIR") and not folder.parent.is_dir():
        yield problem(
            f"XDG_RUNTIME_DIR is {folder.parent}, which is no folder",
            "log in anew (loginctl enable-linger USER for a service), or set it to a folder of "
            "your own with mode 0700",
        )
        return
    yield from _looked_at(folder, "XDG_RUNTIME_DIR")


def _looked_at(folder: Path, option: str) -> Iterator[Finding]:
    """`option`: what names another one."""
    mend = f"name another folder: {option}"
    there = _nearest(folder)
    if not there.is_dir():
        yield problem(f"{folder}: {there} is not a folder", mend)
        return
    where = str(folder) if there == folder else f"{folder} (to be made in {there})"
    forbidden = _forbidden(there, theirs=there == folder)
    if forbidden:
        yield problem(f"{where}: {forbidden}", f"chown it, or {mend}")
        return
    found = list(_unwell(there, where, mend))
    yield from found or [ok(where)]


def _nearest(folder: Path) -> Path:
    """The folder, or the first above it that is there."""
    return next(path for path in (folder, *folder.parents) if os.path.lexists(path))


def _forbidden(folder: Path, *, theirs: bool) -> str:
    """What keeps this user from writing there. `theirs`: it has to be the user's own."""
    status = folder.stat()
    if theirs and status.st_uid != os.getuid():
        return f"it belongs to user {status.st_uid}"
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        return "its filesystem is mounted read-only"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"you may not write there (mode {stat.S_IMODE(status.st_mode):04o})"
    return ""


def _unwell(folder: Path, where: str, mend: str) -> Iterator[Finding]:
    """What is wrong with its filesystem."""
    space = os.statvfs(folder)
    free = (space.f_bfree if os.geteuid() == 0 else space.f_bavail) * space.f_frsize
    files = space.f_ffree if os.geteuid() == 0 else space.f_favail
    room = f"make room there, or {mend}"
    if free < SCARCE:
        yield problem(f"{where}: the disk is full, {free // MB} MB are free", room)
    elif free < LITTLE:
        yield warning(f"{where}: only {free // MB} MB are free", room)
    if space.f_files and files < SCARCE_FILES:
        yield problem(f"{where}: the disk holds no more files, {files} inodes are free", room)
    elif space.f_files and files < FEW_FILES:
        yield warning(f"{where}: only {files} inodes are free", room)
    filesystem = _filesystem(folder)
    if filesystem in NETWORKED:
        yield warning(
            f"{where} is on {filesystem}, where locks are not to be relied on",
            f"{mend} on a disk of this machine",
        )


def _filesystem(folder: Path) -> str:
    """The kind that a folder is on."""
    real = folder.resolve()
    here: dict[Path, Mounted] = {mounted.mountpoint: mounted for mounted in mounts()}
    found = next((here[path] for path in (real, *real.parents) if path in here), None)
    return "" if found is None else found.filesystem
