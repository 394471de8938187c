"""Which calls are done on what: from the tables of docs/SEMANTICS.md to the program `calls`."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from tests.doctable import DOCS, rows

DOCUMENT = DOCS / "SEMANTICS.md"
STATES = ("always", "pending", "running", "ended", "gone", "terminated")
VALUES = ("id", "status", "end_reason", "exit_code", "status.json", "error")


ACTS = (
    *("open(O_WRONLY|O_TRUNC)", "write", "pwrite", "sendfile to it", "copy_file_range to it"),
    *("utimensat(now)", "rmdir", "rename to a new name"),
)


@dataclass(frozen=True)
class Kind:
    """What the calls of one table are done on. A `#` is a number of each call's own."""

    paths: tuple[str, ...]
    """In executions/NAME, or from the mountpoint where they begin with /."""
    neighbour: str
    elsewhere: str = "input/free#.tmp"
    """A free name in another directory of the mount."""
    directory: bool = False
    acts: bool = False
    """Some calls change the execution itself: each of these has one of its own."""
    before: str = "running"
    """The state before it was terminated."""


KINDS = {
    "Calls on the mountpoint": Kind(("/",), "/executions", directory=True),
    "Calls on `.pifopfs/`": Kind(("/.pifopfs",), "/executions", directory=True),
    "Calls on `executions/`": Kind(("/executions",), "/function.json", directory=True),
    "Calls on `executions/NAME`": Kind(
        (".",), "/executions/other", "/free#", directory=True, acts=True
    ),
    "Calls on `input/`": Kind(("input",), "output", "/executions/other/x#", directory=True),
    "Calls on `output/`": Kind(("output",), "input", "/executions/other/x#", directory=True),
    "Calls on `function.json`": Kind(
        ("/function.json",), "/executions/other/id", "/executions/free#"
    ),
    "Calls on files in `.pifopfs/`": Kind(
        ("/.pifopfs/stats", "/.pifopfs/config", "/.pifopfs/requests"),
        "/executions/other/id",
        "/executions/free#",
    ),
    "Calls on files in `input/`": Kind(
        ("input/p#",), "input/q#", "/executions/other/input/x#", before="pending"
    ),
    "Calls on files in `output/`": Kind(("output/p#",), "output/q#", before="ended"),
    "Calls on `log`": Kind(("log",), "id"),
    "Calls on values, `status.json` and `error`": Kind(VALUES, "log"),
    "Calls on `start`": Kind(("start",), "id", acts=True, before="pending"),
    "Calls on `stop`": Kind(("stop",), "id", acts=True),
    "Calls on `wait`": Kind(("wait",), "id"),
}


def calls_of(row: dict[str, str]) -> list[str]:
    """The calls that one row tells of."""
    return re.findall(r"`([^`]+)`", row["call"])


def result(cell: str, *about: str) -> str:
    """What a cell says about these: `EACCES, root ok` is another answer about root."""
    default, *exceptions = cell.split(", ")
    answers = dict(exception.split(" ", 1) for exception in exceptions)
    return next((answers[each] for each in about if each in answers), default)


class Plan:
    """The calls in one state, done by one user: what they need, and what they should give."""

    def __init__(
        self, mountpoint: str, outside: str, state: str, *, root: bool, first: int
    ) -> None:
        self._mountpoint, self._outside = mountpoint, outside
        self.state = state
        self.user = "root" if root else "the owner"
        self._numbers = count(first)
        """For names that are of no other plan."""
        self._other = f"other{first}"
        self.executions: dict[str, str] = {self._other: "pending"}
        """The executions that are needed, and the state that each is brought to."""
        self.groups: list[dict[str, Any]] = []
        """The input of the program."""
        self.told: list[tuple[str, str, str]] = []
        """Path, call and result of each call."""
        self.files: list[str] = []
        """The inputs and outputs that are needed."""
        for title, kind in KINDS.items():
            cells = [
                (call, row[state])
                for row in rows(DOCUMENT, title)
                for call in calls_of(row)
                if row.get(state, "-") != "-"
            ]
            for path in kind.paths if cells else ():
                about = (path, "root") if root else (path,)
                told = [(call, result(cell, *about)) for call, cell in cells]
                self.told += [(path, *each) for each in told]
                self.groups.append(self._group(kind, path, told))

    def _group(self, kind: Kind, path: str, told: list[tuple[str, str]]) -> dict[str, Any]:
        name = self._execution(kind)
        if self.state == "terminated":
            return self._dead(name, kind, path) | {"calls": told}
        calls = []
        for call, gives in told:
            own = self._execution(kind) if kind.acts and call in ACTS else name
            calls.append((call, self._target(own, kind, path), gives))
        return {"calls": calls}

    def _execution(self, kind: Kind) -> str:
        """The name of a new one, in the state that the calls need."""
        name = f"e{next(self._numbers)}"
        state = kind.before if self.state == "terminated" else self.state
        self.executions[name] = "pending" if state == "always" else state
        return name

    def _target(self, name: str, kind: Kind, path: str) -> dict[str, str]:
        number = str(next(self._numbers))

        def place(path: str) -> str:
            start = "" if path.startswith("/") else f"/executions/{name}/"
            path = path.replace("other", self._other).replace("#", number)
            return os.path.normpath(f"{self._mountpoint}{start}{path}")

        whole = place(path)
        parent = str(Path(whole).parent)
        inside = whole if kind.directory else parent
        if "#" in path:
            self.files += [whole, place(kind.neighbour)]
        return {
            "path": whole,
            "inside": inside,
            "free": f"{inside}/new{number}",
            "beside": f"{parent}/beside{number}",
            "other": place(kind.neighbour),
            "elsewhere": place(kind.elsewhere),
            "aside": place("/executions/other"),
            "outside": self._outside,
        }

    def _dead(self, name: str, kind: Kind, path: str) -> dict[str, Any]:
        """The calls on an execution that is terminated while a program is in it."""
        target = self._target(name, kind, path)
        here = target["inside"]
        if not kind.directory:
            target |= {key: Path(target[key]).name for key in ("path", "beside", "other")}
        return {
            "terminate": f"{self._mountpoint}/executions/{name}",
            "cwd": here,
            "target": target | {"inside": ".", "free": Path(target["free"]).name},
        }
