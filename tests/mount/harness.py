"""Real mounts for tests: every access happens in a subprocess with a deadline.

A process that touches a mount may hang unkillably when the filesystem is wrong, so the test's own
process never does.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.mount import daemonlog

PIFOPFS = [sys.executable, "-m", "pifopfs"]

QUICK = {
    "PIFOPFS_STALL": "3",
    "PIFOPFS_TOTAL": "6",
    "PIFOPFS_CREATE": "4",
    "PIFOPFS_CONNECT": "3",
    "PIFOPFS_FRESHNESS": "0.2",
    "PIFOPFS_PATIENCE": "2",
    "PIFOPFS_WAIT_OUTAGE": "60",
    "PIFOPFS_RECHECK": "0.3",
    "PIFOPFS_SHUTDOWN_GRACE": "5",
}
"""Deadlines short enough for tests."""


class Mount:
    """One mount and its private state, cache and runtime folders under `root`."""

    def __init__(
        self, root: Path, target: str, *args: str, env: Mapping[str, str] | None = None
    ) -> None:
        self.root = root
        self.target = target
        self.args = args
        self.path = root / "mnt"
        self.path.mkdir(parents=True, exist_ok=True)
        self.env = environment(root) | QUICK | dict(env or {})
        self.expected: list[str] = []
        """Patterns of what this test makes the daemon warn of: see `daemonlog`."""
        self._spawned: list[subprocess.Popen[str]] = []

    # ── Commands ─────────────────────────────────────────────────────────────────────────────

    def pifopfs(
        self, *args: str, timeout: float = 40, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of ours."""
        return subprocess.run(
            [*PIFOPFS, *args],
            env=self.env,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            cwd=self.root,
        )

    def mount(self) -> Mount:
        result = self.pifopfs("mount", self.target, str(self.path), *self.args)
        assert result.returncode == 0, result.stderr
        return self

    def umount(self, *flags: str) -> None:
        result = self.pifopfs("umount", *flags, str(self.path))
        assert result.returncode == 0, result.stderr

    def __enter__(self) -> Mount:
        return self.mount()

    def __exit__(self, *_: object) -> None:
        self.clean_up()

    def clean_up(self) -> None:
        """Nothing of this mount stays."""
        for process in self._spawned:
            process.kill()
        flags = ["--force"]
        if self.target.startswith((".", "/", "example:")):
            flags.append("--stop-jobs")
        self.pifopfs("umount", *flags, str(self.path))
        subprocess.run(["fusermount3", "-uqz", str(self.path)], check=False, capture_output=True)
        for process in self._spawned:
            process.communicate(timeout=10)
        daemonlog.check(self.root, self.expected)

    def sh(
        self, script: str, *, timeout: float = 30, shell: str = "bash", check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell script in the mount. `check`: it must succeed."""
        result = subprocess.run(
            self._inside(shell, "-c", script),
            cwd="/",
            env=os.environ | {"M": str(self.path), "LC_ALL": "C"},
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=timeout,
            check=False,
        )
        if check:
            assert result.returncode == 0, f"{script}\n{result.stdout}\n{result.stderr}"
        return result

    def out(self, script: str, **more: object) -> str:
        """The output of a script that must succeed."""
        return self.sh(script, **more).stdout  # type: ignore[arg-type]

    def python(self, code: str, *, timeout: float = 30) -> str:
        """Run Python code in the mount; its output. It must succeed."""
        result = subprocess.run(
            self._inside(sys.executable, "-c", code),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            cwd="/",
        )
        assert result.returncode == 0, f"{code}\n{result.stdout}\n{result.stderr}"
        return result.stdout

    def spawn(self, *command: str, stdin: int | None = subprocess.DEVNULL) -> subprocess.Popen[str]:
        """Start a process in the mount; it ends with the test."""
        process = subprocess.Popen(
            self._inside(*command),
            cwd="/",
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._spawned.append(process)
        return process

    def _inside(self, *command: str) -> list[str]:
        """The command, which changes into the mount by itself, where a hang hits its deadline.

        With `cwd=` a hang would stop this process; `preexec_fn` would make every start a slow fork.
        """
        return ["sh", "-c", 'cd "$0" && exec "$@"', str(self.path), *command]

    # ── The daemon ───────────────────────────────────────────────────────────────────────────

    @property
    def pid(self) -> int:
        """The daemon, as its record says."""
        import json

        (record,) = (self.root / "run" / "pifopfs" / "mounts").glob("*.json")
        return int(json.loads(record.read_text())["pid"])

    def signal(self, number: signal.Signals) -> None:
        """Send the daemon a signal."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """kill -9 the daemon; the mount stays, dead."""
        pid = self.pid
        os.kill(pid, signal.SIGKILL)
        handle = None
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        import select

        poller = select.poll()
        poller.register(handle, select.POLLIN)
        assert poller.poll(10_000), "the daemon did not die"
        os.close(handle)

    @property
    def log(self) -> str:
        """The daemon's log."""
        (path,) = (self.root / "state" / "pifopfs" / "mounts").glob("*/daemon.log")
        return path.read_text()

    def mounted(self) -> bool:
        return f" {self.path} " in Path("/proc/self/mountinfo").read_text(errors="replace")


def environment(root: Path) -> dict[str, str]:
    """An environment whose every folder is below `root`."""
    env = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PIFOPFS_", "XDG_"))
    }
    for name, folder in {
        "XDG_STATE_HOME": "state",
        "XDG_CACHE_HOME": "cache",
        "XDG_CONFIG_HOME": "config",
        "PIFOPFS_SYSTEM_CONFIG_DIR": "etc",
        "XDG_RUNTIME_DIR": "run",
    }.items():
        path = root / folder
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        env[name] = str(path)
    return env


def write_key(path: Path, key: str) -> Path:
    """A file that holds a key, for this user alone."""
    path.touch(0o600)
    path.write_text(f"{key}\n")
    return path
