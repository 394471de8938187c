"""A Slurm cluster on this machine, by scripts/start-slurm, for as long as tests need it."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from tests.fakeservice import until

SCRIPTS = Path(__file__).parent.parent / "scripts"
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "sinfo")
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
FIRST_PORT, LAST_PORT, STRIDE = 17200, 19000, 64
"""Where free ports are looked for: each worker of the tests begins at its own place."""
CPUS = 8
MEGABYTES = 65536
"""What each node says that it has, whatever the machine has."""
GUARDIAN = 'read -r _; "$0" "$1"; rm -rf "$1"'
"""Stops a cluster when the process that made it lets go of the other end, or has died."""


def missing() -> str:
    """Why there can be no cluster here; empty where there can."""
    if os.getuid() != 0:
        return "a Slurm cluster needs root"
    programs = [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]
    return f"{', '.join(programs)} not installed: scripts/install --dev" if programs else ""


class SlurmCluster:
    """A controller and some nodes, up from `start` to `stop`, or to the death of this process.

    Daemons are found by their pid files alone. Nothing of it is left at the end: no process, no
    control group, no folder.
    """

    def __init__(self, nodes: int = 2, cpus: int = CPUS) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="pf-sl-", dir="/tmp"))
        self.conf = self.folder / "etc" / "slurm.conf"
        """For SLURM_CONF."""
        self.nodes: list[str] = []
        """Their names."""
        self._wanted = {"SLURM_TEST_NODES": f"{nodes}", "SLURM_TEST_NODE_CPUS": f"{cpus}"}
        self._ports = nodes + 1
        self._cleanup = ExitStack()

    def __enter__(self) -> SlurmCluster:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        guardian = subprocess.Popen(
            ["sh", "-c", GUARDIAN, SCRIPTS / "stop-slurm", self.folder],
            stdin=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        self._cleanup.callback(guardian.communicate, timeout=60)
        port = self._cleanup.enter_context(free_ports(self._ports))
        environment = {
            **os.environ,
            **self._wanted,
            "SLURM_TEST_PORT": f"{port}",
            "SLURM_TEST_NODE_MB": f"{MEGABYTES}",
        }
        try:
            subprocess.run(
                [SCRIPTS / "start-slurm", self.folder], env=environment, check=True, timeout=60,
                stdout=subprocess.DEVNULL,
            )  # fmt: skip
        except BaseException:
            self.stop()
            raise
        self.nodes = re.findall(r"^NodeName=(\S+)", self.conf.read_text(), re.MULTILINE)

    def stop(self) -> None:
        """With all that runs on it."""
        self._cleanup.close()

    # ── What users have ──────────────────────────────────────────────────────────────────────

    def run(self, *command: str) -> str:
        """What a command of Slurm's prints."""
        done = subprocess.run(
            command, env=self._environment(), check=True, timeout=30, capture_output=True, text=True
        )
        return done.stdout

    def clear(self) -> None:
        """End all jobs. Returns when nothing runs any more."""
        if self.run("squeue", "--noheader"):
            self.run("scancel", "--partition=main")
            until(lambda: not self.run("squeue", "--noheader"), what="no job is left", pause=0.1)

    @property
    def kernel_limits_memory(self) -> bool:
        """Otherwise it is only looked at now and then, and short peaks pass."""
        text = self.conf.read_text()
        constrained = "ConstrainRAMSpace=yes" in self.conf.with_name("cgroup.conf").read_text()
        return "TaskPlugin=task/cgroup" in text and constrained

    # ── What breaks it ───────────────────────────────────────────────────────────────────────

    def stop_controller(self, number: signal.Signals = signal.SIGTERM) -> None:
        """It ends in order; its nodes and their jobs go on."""
        self._end("slurmctld", number)

    def start_controller(self) -> None:
        self._begin("slurmctld", "slurmctld", "-f", str(self.conf))
        until(self._answers, what="slurmctld answers", pause=0.1)

    def kill_node(self, name: str) -> None:
        """At once. What runs there goes on, and nobody tells of it."""
        self._end(f"slurmd-{name}", signal.SIGKILL)

    def start_node(self, name: str, *, unshare: str = "") -> None:
        """`unshare`: a shell command that is run before, for this node and its jobs alone, such as
        `mount -t tmpfs none /shared`: the node has mounts of its own then.
        """
        slurmd = ["slurmd", "-f", str(self.conf), "-N", name]
        prefix = ["unshare", "--mount", "sh", "-c", f'{unshare} && exec "$@"', "sh"]
        self._begin(f"slurmd-{name}", *(prefix if unshare else []), *slurmd)
        until(lambda: self._takes_jobs(name), what=f"{name} takes jobs", pause=0.1)

    def pid(self, daemon: str) -> int | None:
        """Of `munged`, `slurmctld` or `slurmd-NODE`, while it lives."""
        with contextlib.suppress(OSError, ValueError):
            pid = int((self.folder / "run" / f"{daemon}.pid").read_text())
            if f"{self.folder}/".encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
        return None

    def _end(self, daemon: str, number: signal.Signals) -> None:
        pid = self.pid(daemon)
        assert pid is not None, f"{daemon} does not run"
        os.kill(pid, number)
        command_line = Path(f"/proc/{pid}/cmdline")
        until(lambda: not _read(command_line), what=f"{daemon} has ended")
        (self.folder / "run" / f"{daemon}.pid").unlink(missing_ok=True)

    def _begin(self, daemon: str, *command: str) -> None:
        """It puts itself into the background."""
        assert self.pid(daemon) is None, f"{daemon} runs"
        with (self.folder / "log" / f"{daemon}.out").open("ab") as said:
            subprocess.run(
                command, env=self._environment(), check=True, timeout=30,
                stdin=subprocess.DEVNULL, stdout=said, stderr=said,
            )  # fmt: skip
        until(lambda: self.pid(daemon), what=f"{daemon} runs")

    def _environment(self) -> dict[str, str]:
        return {"PATH": PATH, "SLURM_CONF": str(self.conf)}

    def _answers(self) -> bool:
        with contextlib.suppress(subprocess.CalledProcessError):
            return "is UP" in self.run("scontrol", "ping")
        return False

    def _takes_jobs(self, name: str) -> bool:
        with contextlib.suppress(subprocess.CalledProcessError):
            state = self.run("sinfo", "--noheader", "--nodes", name, "--format=%T").strip()
            return state in ("idle", "mixed", "allocated", "completing")
        return False


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


@contextlib.contextmanager
def free_ports(number: int) -> Iterator[int]:
    """The first of some adjacent ports that nobody uses. For as long as the block lasts no other
    process is given one of them here.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    span = LAST_PORT - FIRST_PORT
    for offset in range(0, span, number):
        first = FIRST_PORT + (worker * STRIDE + offset) % span
        ports = range(first, first + number)
        with ExitStack() as claims:
            if all(_claimed(port, claims) for port in ports) and all(map(_free, ports)):
                yield first
                return
    raise AssertionError(f"there are no {number} free ports from {FIRST_PORT} to {LAST_PORT}")


def _claimed(port: int, claims: ExitStack) -> bool:
    """By a name that one process has at a time."""
    claim = claims.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
    try:
        claim.bind(f"\0pifopfs-tests-port-{port}")
    except OSError:
        return False
    return True


def _free(port: int) -> bool:
    with socket.socket() as end:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            end.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
