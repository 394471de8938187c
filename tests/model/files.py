"""What the model of a mount is made of: executions, their inputs, and open files.

How calls change them is in `model`.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import NoReturn

DECLARED = ("coords", "model")
TEMPORARY = (".*", "*~", "#*#", "sed??????", "4913", "*.tmp", "*.swp", "*.part")


def fail(number: int, why: str) -> NoReturn:
    """Fail as the mount should."""
    raise OSError(number, why)


@dataclass(frozen=True, order=True)
class Upload:
    """A request that the service must have got."""

    execution: str
    name: str
    content: bytes
    accepted: bool


@dataclass(eq=False)
class Execution:
    """`executions/NAME`."""

    id: str
    status: str = "pending"
    end_reason: str = ""
    files: dict[str, File] = field(default_factory=dict)
    service: dict[str, bytes] = field(default_factory=dict)
    """The inputs that the service has."""
    outputs: dict[str, bytes] = field(default_factory=dict)
    log: bytes = b""
    failed: str = ""
    """The operation that `error` tells of."""
    dead: bool = False
    """Terminated, though somebody may still have its files open."""

    def check_pending(self) -> None:
        if self.status != "pending":
            fail(errno.EACCES, "inputs are accepted only before the start")

    def succeeded(self, operation: str) -> None:
        if self.failed == operation:
            self.failed = ""

    def obstacles(self) -> set[int]:
        """Why it cannot start, before anything is uploaded."""
        reasons = set()
        for file in self.files.values():
            if file.declared and file.writers:
                reasons.add(errno.EBUSY)
            if file.declared and file.torn:
                reasons.add(errno.EINVAL)
            if not file.declared and not file.temporary:
                reasons.add(errno.EINVAL)
        if self.service.keys() - self.files.keys():  # withdrawn
            reasons.add(errno.EINVAL)
        return reasons


@dataclass(eq=False)
class File:
    """A file in `input/`: an input if the function declares its name, scratch otherwise."""

    execution: Execution
    name: str
    content: bytearray = field(default_factory=bytearray)
    mode: int = 0o600
    writers: list[Handle] = field(default_factory=list)
    lacking: bool = True
    """The service does not have these bytes under this name."""
    unfinished: bool = True
    """Changed, and not left by its writers since: a crash now tears it."""
    torn: bool = False
    """Its writer was killed in the middle: never uploaded, until it is written anew."""
    refused: bool = False
    """The service has refused these very bytes: only `start` tries again."""
    removed: bool = False

    @property
    def declared(self) -> bool:
        return self.name in DECLARED

    @property
    def temporary(self) -> bool:
        return any(fnmatchcase(self.name, pattern) for pattern in TEMPORARY)

    @property
    def uploadable(self) -> bool:
        """There is something to be uploaded, and somewhere."""
        gone = self.removed or self.execution.dead or self.execution.status != "pending"
        return self.declared and self.lacking and not self.torn and not gone

    @property
    def shown_mode(self) -> int:
        """Under the umask 077; nothing can be written after the start."""
        return self.mode & (0o700 if self.execution.status == "pending" else 0o500)

    def changed(self) -> None:
        self.lacking = self.unfinished = True
        self.refused = False

    def put(self, offset: int, data: bytes) -> None:
        self.changed()
        self.content.extend(bytes(max(0, offset - len(self.content))))
        self.content[offset : offset + len(data)] = data

    def resize(self, size: int) -> None:
        self.changed()
        if size == 0:
            self.torn = False
        del self.content[size:]
        self.content.extend(bytes(size - len(self.content)))

    def cut(self) -> None:
        """A writer was killed, or the daemon."""
        if self.unfinished:
            self.torn = self.lacking = True


@dataclass(eq=False)
class Handle:
    """An open file; `dup` and `fork` give it further descriptors."""

    file: File
    readable: bool
    writable: bool
    append: bool
    descriptors: int = 1
    position: int = 0
    wrote: bool = False
    """… since one of its closes uploaded."""
    uploaded: bool = False
    """One of its closes has uploaded."""
