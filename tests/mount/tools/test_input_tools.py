"""Each tool writes inputs as it writes files on a local disk: the same bytes, modes and times, the
same words, one upload. The names are the first column of the table in docs/SEMANTICS.md.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from pifopfs.server.removal import remove
from tests.fakeservice import FakeService
from tests.mount.harness import Mount
from tests.mount.tools import terminal
from tests.mount.tools.input_programs import ROWS
from tests.mount.tools.input_recipes import Row
from tests.mount.tools.input_table import table
from tests.mount.tools.programs import compile_programs

OLD = 1_000_000_000
"""2001-09-09: the time of what is copied."""

SEMANTICS = Path(__file__).parents[3] / "docs" / "SEMANTICS.md"

MODES = {"src": 0o540, "prog": 0o700}


@dataclass(frozen=True)
class File:
    """A file as it is afterwards."""

    content: bytes
    mode: int
    """The owner's: the mount shows no others."""
    mtime: float | None
    """None: just now."""


@dataclass(frozen=True)
class Outcome:
    """What a tool has done, in a mount or on a local disk."""

    status: int
    stdout: str
    stderr: str
    files: dict[str, File]

    @property
    def inputs(self) -> dict[str, bytes]:
        """The files that the function declares."""
        return {
            name: file.content for name, file in self.files.items() if name in ("coords", "model")
        }


class Place:
    """A mount, a folder of the local disk, and what the tools need."""

    def __init__(self, mount: Mount, service: FakeService) -> None:
        self.mount = mount
        self.service = service
        self.things = mount.root / "t"
        self._numbers = count(1)
        _make_things(self.things)
        programs = mount.root / "b"
        programs.mkdir()
        compile_programs(programs)
        self._names = {
            "LC_ALL": "C",
            "HOME": str(self.things),
            "T": str(self.things),
            "B": str(programs),
            "U": "/usr/lib/cargo/bin/coreutils",
            "PY": sys.executable,
            "TYPE": terminal.__file__,
        }
        self._archive = self.things / "look.tar"

    def prepare(self, row: Row) -> tuple[Path, Outcome]:
        """A new execution, and what the row does in a local folder that looks like one."""
        number = str(next(self._numbers))
        local, folder = self.mount.root / "local" / number, self.mount.path / "executions" / number
        (local / "input").mkdir(parents=True)
        before = "cp $T/text coords" if row.over else ":"
        result = self.sh(
            local,
            f"{before}; mkdir {folder}; (cd {folder}/input; {before}); (\n{row.script}\n)\n"
            f"status=$?; {self._pack(local)}; exit $status",
            row.shell,
        )
        return folder, Outcome(result.returncode, result.stdout, result.stderr, self._unpack())

    def start(self, folder: Path) -> tuple[dict[str, File], str]:
        """The files of an execution, and what its start then complains of."""
        result = self.sh(folder, f"{self._pack(folder)}; echo 1 > ../start")
        assert (result.returncode != 0) is bool(result.stderr)
        return self._unpack(), result.stderr

    def sh(
        self, folder: Path, script: str, shell: str = "bash"
    ) -> subprocess.CompletedProcess[str]:
        """Run a script in a folder's `input`."""
        return subprocess.run(
            [shell, "-c", f"umask 077; cd {folder}/input; {script}"],
            cwd="/",
            env=os.environ | self._names,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    def _pack(self, folder: Path) -> str:
        """An ordinary tool reads everything that is there."""
        return f"tar --format=posix -C {folder}/input -cf {self._archive} ."

    def _unpack(self) -> dict[str, File]:
        files = {}
        with tarfile.open(self._archive) as tar:
            for member in tar:
                content = tar.extractfile(member) if member.isfile() else None
                if content is not None:
                    just_now = member.mtime > time.time() - 300
                    files[member.name.removeprefix("./")] = File(
                        content.read(), member.mode & 0o700, None if just_now else member.mtime
                    )
        return files


def _make_things(folder: Path) -> None:
    """What the tools copy."""
    (folder / "folder").mkdir(parents=True)
    lines = "".join(f"a line {number % 7}\n" for number in range(30))
    things = {
        "src": bytes(range(250)) * 400,
        "text": lines.encode(),
        "holes": b"\0" * 65536 + b"x" * 4096,
        "empty.c": b"",
        "prog": b"#!/bin/sh\n",
        "folder/coords": b"1,2\n",
        "folder/model": b"3,4\n" * 1000,
    }
    for name, content in things.items():
        (folder / name).write_bytes(content)
        (folder / name).chmod(MODES.get(name, 0o600))
        os.utime(folder / name, (OLD, OLD))
    with tarfile.open(folder / "folder.tar", "w") as tar:
        tar.add(folder / "folder", ".")


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """One mount for all rows."""
    root = Path(tempfile.mkdtemp(prefix="pf-", dir="/tmp"))
    with (
        FakeService(root / "s.sock") as service,
        Mount(root, "joe/tsp", "--endpoint", service.endpoint) as mount,
    ):
        yield Place(mount, service)
    remove(root)


@pytest.mark.parametrize("tool", ROWS)
def test_a_tool_writes_inputs_as_files_of_a_local_disk(place: Place, tool: str) -> None:
    row, service = ROWS[tool], place.service
    folder, expected = place.prepare(row)
    execution = list(service.executions.values())[-1]
    before = service.count("upload")

    result = place.sh(folder, row.script, row.shell)

    sent, uploads = dict(execution.inputs), service.count("upload") - before
    files, complaint = place.start(folder)
    outcome = Outcome(result.returncode, result.stdout, result.stderr, files)
    check_outcome(row, outcome, expected)
    if not row.later:
        assert sent == outcome.inputs
        assert uploads == row.uploads
    assert row.start in complaint
    assert bool(row.start) is bool(complaint)
    assert service.count("upload") - before == row.uploads
    if not row.start:
        assert execution.inputs == outcome.inputs


def test_the_documented_table_is_this_one() -> None:
    """To make it anew: write `table()` into the document."""
    assert table() in SEMANTICS.read_text()


def check_outcome(row: Row, outcome: Outcome, expected: Outcome) -> None:
    """As on a local disk, save what the row excepts."""
    if row.refused:
        assert row.refused in outcome.stderr
    else:
        assert without_lines(outcome.stderr) == without_lines(expected.stderr)
        assert expected.status == 0
    assert outcome.status == row.status
    assert outcome.stdout == expected.stdout
    if row.files is None:
        assert outcome.files == expected.files
    else:
        assert {name: file.content for name, file in outcome.files.items()} == row.files


def without_lines(text: str) -> str:
    """A shell's complaint without the number of its line."""
    return re.sub(r"(line )?\b\d+: ", "", text)
