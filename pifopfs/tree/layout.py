"""The fixed part of the tree, as data: names, inode slots, modes; and which names are valid.

An inode number is the serial number of an execution and a slot within it, so that it is the same
as long as the execution is known. Serial 0 is the mount itself.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from stat import S_IFDIR, S_IFREG

from pifopfs.errors import NameInvalid, NameTooLong

SLOT_BITS = 20
FIRST_FREE_SLOT = 64
"""Slots from here on are given to inputs and outputs, in the order they appear."""

ROOT_INO = 1
FUNCTION_INO = 2
EXECUTIONS_INO = 3
HIDDEN_INO = 4
"""Of `.pifopfs`; its files follow."""
DIRECTORY_SLOT = 1

HIDDEN = ".pifopfs"
"""Reachable by name, not listed, as `wait`: nothing in it is anybody's data."""
HIDDEN_FILES = ("stats", "config", "requests")

MAX_NAME = 255
EXECUTION_ID = re.compile(r"exec_[A-Za-z0-9]+")

TEMPORARY = (".*", "*~", "#*#", "sed??????", "4913", "*.tmp", "*.swp", "*.part")
"""What editors and copying tools leave beside a file: no obstacle to `start`."""


COPIED = S_IFREG | 0o666
"""What is there to be copied out shows write bits, though writing it is refused: cp gives a new
copy the mode of its source, and a read-only copy would make the next cp over it fail.
"""


@dataclass(frozen=True, slots=True)
class Fixed:
    """A file or directory that every execution has. `mode` is before the umask.

    Directories can be written, or the kernel would refuse an `rm` in them before it is asked of us.
    """

    slot: int
    mode: int
    listed: bool = True


FIXED = {
    "id": Fixed(2, S_IFREG | 0o444),
    "status": Fixed(3, S_IFREG | 0o444),
    "end_reason": Fixed(4, S_IFREG | 0o444),
    "exit_code": Fixed(5, S_IFREG | 0o444),
    "status.json": Fixed(6, COPIED),
    "log": Fixed(7, COPIED),
    "error": Fixed(8, S_IFREG | 0o444),
    "start": Fixed(9, S_IFREG | 0o222),
    "stop": Fixed(10, S_IFREG | 0o222),
    "wait": Fixed(11, S_IFREG | 0o444, listed=False),
    "input": Fixed(12, S_IFDIR | 0o777),
    "output": Fixed(13, S_IFDIR | 0o777),
}


def ino(serial: int, slot: int) -> int:
    """The inode number of a slot of an execution."""
    return serial << SLOT_BITS | slot


def serial_of(number: int) -> int:
    """The execution an inode number belongs to, 0 for the mount's own."""
    return number >> SLOT_BITS


def check_name(name: str) -> None:
    """Raises NameTooLong: the kernel passes on up to 1024 bytes."""
    if len(os.fsencode(name)) > MAX_NAME:
        raise NameTooLong(name[:40] + "…")


def is_file_name(text: str) -> bool:
    """Whether a file can have this name: the service chooses the ids of outputs."""
    try:
        return (
            0 < len(os.fsencode(text)) <= MAX_NAME
            and text not in (".", "..")
            and not ({"/", "\0"} & set(text))
        )
    except UnicodeEncodeError:
        return False


def check_execution_name(name: str) -> None:
    """For a new or renamed execution. Raises NameTooLong, or NameInvalid for an id's form."""
    check_name(name)
    if EXECUTION_ID.fullmatch(name):
        raise NameInvalid(name, "names of the form exec_… are ids, chosen by the service")


def is_temporary(name: str) -> bool:
    """Whether the name is one that tools use in passing."""
    return any(fnmatchcase(name, pattern) for pattern in TEMPORARY)
