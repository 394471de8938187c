"""What a disk may hold after a power cut, from the system calls that were made on it.

All that an fsync has made safe is there, and of the rest whatever chance leaves of it. Names of
files are as on a journalling filesystem: in order, and safe with the next fsync of anything.
"""

from __future__ import annotations

import os
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CALLS = (
    "openat,creat,pwrite64,truncate,ftruncate,fallocate,fsync,fdatasync,"
    "mkdir,mkdirat,rmdir,unlink,unlinkat,rename,renameat,renameat2"
)


def traced(output: Path, command: list[str]) -> list[str]:
    """A command that writes down the calls of another."""
    trace = ["-e", f"trace={CALLS}", "-o", str(output)]
    return ["strace", "-f", "--seccomp-bpf", "-ttt", "-y", "-xx", "-s", "4000000", *trace, *command]


# ── What was done ─────────────────────────────────────────────────────────────────────────────

LINE = re.compile(r"(\d+) +([\d.]+) (\w+)\((.*)\) += (-?\d+)")
UNFINISHED = re.compile(r"(\d+) +([\d.]+) (.*) <unfinished \.\.\.>")
RESUMED = re.compile(r"(\d+) +[\d.]+ <\.\.\. \w+ resumed>(.*)")
ARGUMENT = re.compile(r'"((?:\\x..)*)"|(AT_FDCWD|\d+)<([^>]*)>|([^,\s][^,]*)')


@dataclass(frozen=True)
class Call:
    """A system call that succeeded."""

    time: float
    name: str
    arguments: list[Any]
    """Strings as bytes, descriptors as the paths of their files, the rest as text."""

    def on(self, folder: Path) -> bool:
        """Whether it is made on something in `folder`."""
        paths = [Path(os.fsdecode(a)) if isinstance(a, bytes) else a for a in self.arguments[:2]]
        return any(isinstance(path, Path) and path.is_relative_to(folder) for path in paths)


def read_trace(path: Path) -> Iterator[Call]:
    pending: dict[str, str] = {}
    for line in path.read_text(errors="replace").splitlines():
        if match := UNFINISHED.fullmatch(line):
            pending[match[1]] = f"{match[1]} {match[2]} {match[3]}"
            continue
        if match := RESUMED.fullmatch(line):
            line = pending.pop(match[1]) + match[2]
        if (match := LINE.match(line)) and int(match[5]) >= 0:
            arguments = [argument(found) for found in ARGUMENT.finditer(match[4])]
            yield Call(float(match[2]), match[3], arguments)


def argument(match: re.Match[str]) -> Any:
    text, descriptor, path, other = match.groups()
    if text is not None:
        return bytes.fromhex(text.replace("\\x", ""))
    return Path(unescaped(path)) if descriptor else other


def unescaped(text: str) -> str:
    return re.sub(r"\\x(..)", lambda match: chr(int(match[1], 16)), text)


# ── What the disk holds ───────────────────────────────────────────────────────────────────────


@dataclass
class File:
    """`safe` after an fsync; `pending` may or may not reach the disk: (offset, data or None)."""

    safe: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)

    def sync(self) -> None:
        for offset, data in self.pending:
            self.apply(self.safe, offset, data)
        self.pending.clear()

    @staticmethod
    def apply(content: bytearray, offset: int, data: bytes | None) -> None:
        """Write, or where `data` is None set the size."""
        end = offset + len(data or b"")
        if len(content) < end:
            content.extend(bytes(end - len(content)))
        if data is None:
            del content[offset:]
        else:
            content[offset:end] = data

    def after_the_cut(self, chance: random.Random, fate: str) -> bytearray:
        content = bytearray(self.safe)
        for offset, data in self.pending:
            kept = chance.random() if fate == "torn" else float(fate == "kept")
            if data is None:
                if kept > 0.4:
                    self.apply(content, offset, None)
            elif kept > 0.7:
                self.apply(content, offset, data)
            elif kept > 0.4:  # some sectors of it, the rest as it was or zeros
                part = data[: chance.randrange(len(data) + 1)]
                zeros = bytes(len(data) - len(part)) if kept > 0.55 else b""
                self.apply(content, offset, part + zeros)
        return content


FOLDER = None
Contents = dict[Path, File | None]
"""What is where; FOLDER for a folder."""


class Disk:
    """A filesystem as the calls have left it, below one folder."""

    def __init__(self, top: Path) -> None:
        self._top = top
        self._now: Contents = {}
        self._safe: Contents = {}

    def do(self, call: Call) -> None:
        first, *rest = call.arguments
        if call.name == "openat":
            self._open(path_of(first, rest[0]), rest[1])
        elif call.name in ("pwrite64", "ftruncate", "truncate", "fallocate"):
            self._write(call.name, path_of(first), rest)
        elif call.name in ("fsync", "fdatasync"):
            file = self._now.get(first)
            if file is not None:
                file.sync()
            self._safe = dict(self._now)
        elif call.name == "mkdir":
            self._put(path_of(first), FOLDER)
        elif call.name in ("unlink", "rmdir"):
            self._now.pop(path_of(first), None)
        elif call.name == "unlinkat":
            self._now.pop(path_of(first, rest[0]), None)
        elif call.name in ("rename", "renameat", "renameat2"):
            old, new = (first, rest[0]) if call.name == "rename" else (rest[0], rest[2])
            assert path_of(old) not in self._now, "renaming is not simulated"
            assert path_of(new) not in self._now, "renaming is not simulated"
        else:
            raise AssertionError(call.name)

    def _put(self, path: Path, file: File | None) -> None:
        if path.is_relative_to(self._top):
            self._now[path] = file

    def _open(self, path: Path, flags: str) -> None:
        if "O_CREAT" in flags and path not in self._now:
            self._put(path, File())
        file = self._now.get(path)
        if file is not None and "O_TRUNC" in flags:
            file.pending.append((0, None))

    def _write(self, name: str, path: Path, rest: list[Any]) -> None:
        file = self._now.get(path)
        if file is None:  # elsewhere, or unlinked
            return
        if name == "pwrite64":
            file.pending.append((int(rest[2]), rest[0]))
        else:
            file.pending.append((int(rest[-1]), None))

    def after_the_cut(self, target: Path, chance: random.Random, fate: str) -> None:
        """Make in `target` what is found after a power cut now."""
        names = self._now if fate == "kept" or chance.random() < 0.5 else self._safe
        for path, file in names.items():  # in the order in which they were made
            place = target / path.relative_to(self._top)
            if file is FOLDER:
                place.mkdir(parents=True, exist_ok=True)
            else:
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(file.after_the_cut(chance, fate))


def path_of(first: Any, name: bytes | None = None) -> Path:
    """The file that a call is made on."""
    path = Path(os.fsdecode(first)) if isinstance(first, bytes) else first
    return path if name is None else path / os.fsdecode(name)
