"""Completions, as somebody has them who types in a real shell and presses the tabulator."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakeservice import FakeService
from tests.mount.harness import Mount, environment
from tests.packaging.system import ROOT

START_OF_LINE, TAB = "\x01", "\t"

SHELLS = {
    "bash": (
        ["bash", "--norc", "--noprofile", "-i"],
        'eval "$(pifopfs completion bash)"; PS1=',
    ),
    "zsh": (
        ["zsh", "-f", "-i"],
        (
            "bindkey -e; unsetopt prompt_sp; autoload -U compinit; compinit -D; PS1=; "
            'eval "$(pifopfs completion zsh)"'
        ),
    ),
    "fish": (
        ["fish", "--no-config", "-i"],
        "function fish_prompt; end; pifopfs completion fish | source",
    ),
}


class Shell:
    """One that believes that somebody sits before it."""

    def __init__(self, name: str, folder: Path, env: dict[str, str]) -> None:
        command, prepare = SHELLS[name]
        bin_folder = str(Path(sys.executable).parent)
        env = env | {
            "TERM": "dumb",
            "PATH": f"{bin_folder}:{os.environ['PATH']}",
            "HOME": str(folder),
        }
        self._terminal, inner = pty.openpty()
        self._process = subprocess.Popen(
            ["setsid", "--ctty", *command],
            stdin=inner,
            stdout=inner,
            stderr=inner,
            cwd=folder,
            env=env,
        )
        os.close(inner)
        self._count = 0
        self.said = ""
        self._prepare = prepare

    def prepare(self) -> None:
        self.run(self._prepare)

    def run(self, line: str) -> str:
        """What it prints; the line ends with a mark of its own."""
        self._count += 1
        self._type(f"{line}\n")
        return self._marked()

    def completed(self, line: str) -> list[str]:
        """The words that a line has after the tabulator was pressed at its end."""
        self._count += 1
        self._type(line + TAB)
        self._type(START_OF_LINE + "printf '<%s>\\n' ")
        self._type("\n")
        return re.findall(r"^<(.*)>\r?$", self._marked(), re.MULTILINE)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._terminal)

    def _marked(self) -> str:
        mark = f"mark {self._count}."
        self._type(f"echo mar''k {self._count}.\n")
        end = time.monotonic() + 30
        while mark not in self.said:
            assert time.monotonic() < end, self.said
            self._read()
        said, _, self.said = self.said.partition(mark)
        return said

    def _type(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def _read(self) -> None:
        ready, _, _ = select.select([self._terminal], [], [], 1)
        if ready:
            self.said += os.read(self._terminal, 65536).decode(errors="replace")


@pytest.fixture
def mounted(root: Path, service: FakeService) -> Iterator[Mount]:
    """A mount whose name has a blank."""
    mount = Mount(root, "joe/tsp", "--endpoint", service.endpoint)
    mount.path = root / "my mount"
    mount.path.mkdir()
    with mount:
        yield mount


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest, root: Path) -> Iterator[Shell]:
    folder = root / "home"
    folder.mkdir()
    env = environment(root)
    made = Shell(request.param, folder, env)
    try:
        made.prepare()
        yield made
    finally:
        made.close()


def test_what_can_follow_is_completed(shell: Shell, mounted: Mount) -> None:
    root = mounted.root
    settings = root / "config" / "pifopfs"
    settings.mkdir()
    (settings / "config.toml").write_text('[function."ann/knapsack"]\nlog_level = "debug"\n')
    (root / "home" / "key.txt").touch()
    (root / "home" / "target").mkdir()

    assert shell.completed("pifopfs mo") == ["pifopfs", "mount"]
    assert shell.completed("pifopfs mount --isol")[2:] == ["--isolation"]
    assert shell.completed("pifopfs mount --isolation n")[3:] == ["none"]
    assert shell.completed("pifopfs mount --api-key-file ke")[3:] == ["key.txt"]
    assert shell.completed("pifopfs mount example:t")[2:] == ["example:tsp"]
    assert shell.completed("pifopfs mount an")[2:] == ["ann/knapsack"]
    (folder,) = shell.completed("pifopfs mount ann/knapsack tar")[3:]
    assert folder.rstrip("/") == "target"  # zsh takes the slash back when a command is to be run
    assert shell.completed(f"pifopfs umount {root}/my")[2:] == [f"{root}/my mount"]
    assert shell.completed("pifopfs keys cr")[1:] == ["keys", "create"]


def test_a_configuration_that_is_not_right_hinders_nothing(shell: Shell, root: Path) -> None:
    settings = root / "config" / "pifopfs"
    settings.mkdir()
    (settings / "config.toml").write_text("no TOML")
    assert shell.completed("pifopfs mount example:t")[2:] == ["example:tsp"]


@pytest.mark.parametrize(
    ("shell_", "name"), [("bash", "pifopfs.bash"), ("zsh", "_pifopfs"), ("fish", "pifopfs.fish")]
)
def test_the_scripts_that_packages_have_are_those_that_are_printed(shell_: str, name: str) -> None:
    command = [sys.executable, "-m", "pifopfs", "completion", shell_]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert printed.stdout == (ROOT / "completions" / name).read_text(), "run scripts/man"
