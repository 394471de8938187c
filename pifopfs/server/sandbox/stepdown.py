"""How a server that root runs gives up its rights before it starts the sandbox.

Bubblewrap leaves a program that root has started root outside, too: it could open files of the
kernel for writing. So a shell, in a view of the filesystem of its own, puts the run's folder and
what else it needs where an ordinary user can reach it, and becomes that user.
"""

from __future__ import annotations

import os
import pwd
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pifopfs.errors import OptionInvalid
from pifopfs.machine import mounts

STAGE = Path("/tmp")  # noqa: S108  # an empty one, of the shell's own view
"""There on every system, and open to everybody."""

NAMESPACE = ("unshare", "--mount", "--propagation", "slave", "--")
"""What is unmounted outside is so here, too, where the system tells namespaces of it."""

NEEDED = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/proc", "/dev")


@dataclass(frozen=True, slots=True)
class User:
    """Whom the programs of a server that root runs belong to."""

    uid: int
    gid: int

    @classmethod
    def named(cls, name: str) -> User:
        """Raises OptionInvalid."""
        try:
            entry = pwd.getpwuid(int(name)) if name.isdecimal() else pwd.getpwnam(name)
        except (KeyError, OverflowError):
            raise OptionInvalid(f"--run-as: there is no user {name}") from None
        if entry.pw_uid == 0:
            raise OptionInvalid("--run-as: programs are never run as root; name another user")
        return cls(entry.pw_uid, entry.pw_gid)


def user_for_programs(name: str | None) -> User | None:
    """The user to step down to; None where this process is no root.

    Raises OptionInvalid.
    """
    if os.geteuid() == 0:
        return User.named(name or "nobody")
    if name is not None:
        raise OptionInvalid("--run-as is for servers that root runs; leave it out")
    return None


def staged(paths: Iterable[str]) -> dict[str, str]:
    """Where each path is put."""
    return {path: str(STAGE / str(number)) for number, path in enumerate(paths)}


def stage(places: Mapping[str, str], scratch: Path) -> list[str]:
    """Lines of shell that put them there; a failing one ends it with `set -e`.

    `scratch` is an empty folder: they are put together there, as STAGE may hide some of them.
    """
    here = shlex.quote(str(scratch))
    lines = [f"mount -t tmpfs -o mode=0755,size=1m pifopfs {here}"]
    for path, place in places.items():
        target = f"{here}/{Path(place).name}"
        make = f"mkdir {target}" if Path(path).is_dir() else f": > {target}"
        lines += [make, f"mount --bind {shlex.quote(path)} {target}"]
    before, after = _let_go(scratch)
    lines += [*before, f"mount --move {here} {STAGE}", *after]
    # /proc may be closed to all but root; a machine that allows no new one leaves it open
    return [*lines, "mount -t proc proc /proc 2>/dev/null || :"]


def _let_go(scratch: Path) -> tuple[list[str], list[str]]:
    """What is mounted elsewhere is not kept from being unmounted by a run that has no use for it.

    Most of all a mount of ours: its daemon waits for the last who has it. The lines for before the
    move to STAGE, and for after it: what `scratch` is in. Where something is mounted only when
    somebody looks, nobody looks: the mount that this is for may be that one.
    """
    needed = [Path(path) for path in NEEDED]
    found = {each.mountpoint for each in mounts() if each.filesystem != "autofs"} - {Path("/")}
    others = {path for path in found if not any(path.is_relative_to(top) for top in needed)}
    around = others.intersection(scratch.parents)
    return _unmount(others - around), _unmount(around - {STAGE})


def _unmount(paths: set[Path]) -> list[str]:
    """With a path goes all below it."""
    topmost = sorted(path for path in paths if paths.isdisjoint(path.parents))
    words = " ".join(shlex.quote(str(path)) for path in topmost)
    return [f"umount --lazy {words} 2>/dev/null || :"] if words else []


def become(user: User) -> list[str]:
    """The command that runs another one as this user, without any right to come back."""
    ids = ("--reuid", str(user.uid), "--regid", str(user.gid), "--clear-groups")
    return ["setpriv", *ids, "--inh-caps=-all", "--no-new-privs", "--"]
