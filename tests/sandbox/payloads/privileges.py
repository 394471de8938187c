"""Tries to gain rights, or what only they allow."""

# ruff: noqa: PTH103  # it calls the system as any program would

from __future__ import annotations

import os
import shutil
import stat
import subprocess

from attempts import attempt, checked, libc, require, targets

NAMESPACES = {
    "mount": 0x00020000, "cgroup": 0x02000000, "uts": 0x04000000, "ipc": 0x08000000,
    "user": 0x10000000, "pid": 0x20000000, "net": 0x40000000,
}  # fmt: skip
BWRAP = ["bwrap", "--unshare-user", "--ro-bind", "/", "/", "true"]


def run(*words: str, wanted: str | None = None) -> None:
    """Raises OSError where it fails, or does not print what is wanted."""
    result = subprocess.run(
        words, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=30
    )
    require(result.returncode == 0 and (wanted is None or result.stdout.strip() == wanted))


def mount(source: bytes, kind: bytes | None, flags: int = 0) -> None:
    os.makedirs("place", exist_ok=True)
    checked(libc.mount(source, b"place", kind, flags, None))


def node(kind: int) -> None:
    os.mknod(f"node{kind}", kind | 0o600, os.makedev(1, 3))


def run_as_its_owner() -> None:
    """A program with the bit that makes it run as its owner, given to root."""
    shutil.copy("/usr/bin/id", "id")
    os.chown("id", 0, 0)


for name, flag in NAMESPACES.items():
    attempt(f"unshare {name}", lambda flag=flag: checked(libc.unshare(flag)))
attempt("unshare program", lambda: run("unshare", "--user", "true"))
attempt("nested bwrap", lambda: run(*BWRAP))
attempt("mount tmpfs", lambda: mount(b"none", b"tmpfs"))
attempt("mount proc", lambda: mount(b"none", b"proc"))
attempt("mount bind", lambda: mount(b"/", None, 4096))
attempt("remount /usr", lambda: checked(libc.mount(b"none", b"/usr", None, 32 | 4096, None)))
attempt("umount /proc/sys", lambda: checked(libc.umount2(b"/proc/sys", 2)))
attempt("chroot", lambda: os.chroot("/usr"))
attempt("setuid", lambda: os.setuid(0))
attempt("setgid", lambda: os.setgid(0))
attempt("setgroups", lambda: os.setgroups([0]))
attempt("chown", run_as_its_owner)
attempt("character device", lambda: node(stat.S_IFCHR))
attempt("block device", lambda: node(stat.S_IFBLK))
attempt("hard link", lambda: os.link("/usr/bin/env", "/job/env"))
attempt("host name", lambda: checked(libc.sethostname(b"other", 5)))
attempt("priority", lambda: os.setpriority(os.PRIO_PROCESS, 0, -5))
for words in targets()["become root"]:
    attempt(" ".join(words), lambda words=words: run(*words, wanted="0"))
