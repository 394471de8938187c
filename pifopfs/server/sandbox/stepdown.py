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

STAGE = Path("/tmp")  # noqa: S108  # an empty one, of the shell's own view
"""There on every system, and open to everybody."""

NAMESPACE = ("unshare", "--mount", "--propagation", "private", "--")


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
    lines.append(f"mount --move {here} {STAGE}")
    # /proc may be closed to all but root; a machine that allows no new one leaves it open
    return [*lines, "mount -t proc proc /proc 2>/dev/null || :"]


def become(user: User) -> list[str]:
    """The command that runs another one as this user, without any right to come back."""
    ids = ("--reuid", str(user.uid), "--regid", str(user.gid), "--clear-groups")
    return ["setpriv", *ids, "--inh-caps=-all", "--no-new-privs", "--"]
