"""`pifopfs run` as a process, with folders of its own below `root`."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.mount.harness import PIFOPFS, QUICK, environment

SOON = {**QUICK, "PIFOPFS_SERVER_LINGER": "0.5", "PIFOPFS_WAIT_OUTAGE": "2"}


class Shell:
    """Commands run in `root`, where their files are."""

    def __init__(self, root: Path, *service: str) -> None:
        """`service`: what every `run` gets."""
        self.root = root
        self.env: dict[str, str] = environment(root) | SOON
        self._service = service
        self._spawned: list[subprocess.Popen[bytes]] = []

    def command(self, *args: str) -> list[str]:
        return [*PIFOPFS, "run", *args, *self._service]

    def run(
        self, *args: str, stdin: bytes = b"", env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """`pifopfs run ARGS`, to its end."""
        return subprocess.run(
            self.command(*args),
            cwd=self.root,
            env=self.env | dict(env or {}),
            input=stdin,
            capture_output=True,
            timeout=40,
            check=False,
        )

    def good(self, *args: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """As `run`; it must succeed."""
        result = self.run(*args, stdin=stdin)
        assert result.returncode == 0, result.stderr
        return result

    def spawn(self, *args: str) -> subprocess.Popen[bytes]:
        """`pifopfs run ARGS`, which ends with the test."""
        return self.start(self.command(*args))

    def start(self, command: Sequence[str], **more: object) -> subprocess.Popen[bytes]:
        """Any command."""
        pipes: dict[str, object] = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
        }
        process: subprocess.Popen[bytes] = subprocess.Popen(  # type: ignore[call-overload]
            command, cwd=self.root, env=self.env, **(pipes | more)
        )
        self._spawned.append(process)
        return process

    def sh(self, script: str) -> subprocess.CompletedProcess[bytes]:
        """A bash script, in which `run` is `pifopfs run` with the service's options."""
        function = f'run() {{ {" ".join(PIFOPFS)} run "$@" {" ".join(self._service)}; }}\n'
        return subprocess.run(
            ["bash", "-c", function + script],
            cwd=self.root,
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=40,
            check=False,
        )

    def write(self, name: str, content: bytes) -> Path:
        path = self.root / name
        path.write_bytes(content)
        return path

    def clean_up(self) -> None:
        for process in self._spawned:
            process.kill()
            process.communicate(timeout=10)
        assert left_behind(self.root) == []


def alive(word: str) -> list[int]:
    """Processes with this word in their environment."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):  # it has ended
            if os.fsencode(word) in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
    return found


def left_behind(root: Path) -> list[str]:
    """Temporary files beside those of outputs."""
    return [path.name for path in root.glob(".pifopfs-*")]
