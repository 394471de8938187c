"""What keeps a run apart from the rest of the machine: the interface of its two kinds."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pifopfs.server.sandbox.body import Body
from pifopfs.server.sandbox.launch import Launch
from pifopfs.server.sandbox.stepdown import User

READY, MISSING = b"ready\n", b"missing\n"

_FIND = """set -f; found=
case $1 in
*/*) [ -f "$1" ] && [ -x "$1" ] && found=$1 ;;
*) IFS=:; for d in $PATH; do [ -f "$d/$1" ] && [ -x "$d/$1" ] && found=$d && break; done ;;
esac
unset IFS; set +f
[ "$found" ] || { echo missing >&SAID; exit 127; }
echo ready >&SAID
"""


def find(said: int) -> str:
    """Lines of shell that tell on a descriptor of one digit whether there is such a program.

    Without another process: a run may be allowed no more than one.
    """
    return _FIND.replace("SAID", str(said))


GATE = find(0) + 'read -r go || exit 125; exec "$@" </dev/null'
"""A shell that waits in the program's place, when all about it has been set up.

It tells on its input, a socket, whether there is such a program, and reads there the word to go
on. Should the server die before, it reads an end and ends: so no program ever runs whose server is
not there to end it. POSIX has a shell read no further than the line's end.
"""


@dataclass(frozen=True, slots=True)
class Gate:
    """A shell in the program's place, until that may begin."""

    script: str = GATE

    def command(self, mark: str, launch: Launch, first: str = "") -> list[str]:
        """`mark`: its name. `first`: lines of shell that come before."""
        return ["/bin/sh", "-c", first + self.script, mark, *launch.command]


WAITING = Gate()


@dataclass(slots=True)
class Command:
    """A process to be started."""

    argv: list[str]
    environment: Mapping[str, str]
    cwd: Path
    descriptors: list[int] = field(default_factory=list)
    """For the process alone."""
    reports: int | None = None
    """Where it can be read what bubblewrap reports, when it has been started."""

    def close_descriptors(self) -> None:
        """When it has been started, or could not be."""
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.descriptors = []


class Isolation(Protocol):
    """Makes the command that runs a program apart from the rest."""

    name: str
    user: User | None
    """Whom programs belong to; None for this process's own user."""

    def command(self, launch: Launch, groups: Iterable[Path] = (), gate: Gate = WAITING) -> Command:
        """`groups`: files that its first process writes 0 into. Raises OSError."""

    async def body(self, pid: int, reports: int | None, launch: Launch) -> Body:
        """The processes of a run, whose first one has this number, when its gate is ready."""


def memory_file(content: bytes, cleanup: ExitStack) -> int:
    """A descriptor of a file that is nowhere; it is closed where `cleanup` is not given up."""
    descriptor = os.memfd_create("pifopfs", os.MFD_CLOEXEC)
    cleanup.callback(os.close, descriptor)
    os.write(descriptor, content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
