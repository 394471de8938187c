"""A server process whose programs run on a cluster, which can be killed and begun again."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from tests import fakeservice
from tests.functions import write_function
from tests.mount.harness import PIFOPFS, environment
from tests.slurmcluster import SlurmCluster

until = partial(fakeservice.until, pause=0.2)
"""For conditions that cost a process of their own to look at."""


class ClusterServer:
    """`pifopfs serve ROOT --engine slurm`, and its API."""

    def __init__(self, root: Path, cluster: SlurmCluster, *args: str, probe: bool = False) -> None:
        self.root = root
        self.cluster = cluster
        self._args = args if probe else ("--engine-option", "probe=no", *args)
        self.process: subprocess.Popen[bytes] | None = None
        (root / "own").mkdir(mode=0o700, exist_ok=True)
        self.socket = root / "own" / "s"
        self.state = root / "kept"
        self.log = root / "server.log"

    def function(self, name: str, script: str, **more: object) -> None:
        write_function(self.root / "fns" / "joe" / name, script, **more)

    def start(self, *, path: str | None = None) -> None:
        """Returns when it is ready. `path`: where commands are looked for first."""
        env = environment(self.root) | {"SLURM_CONF": str(self.cluster.conf)}
        if path is not None:
            env["PATH"] = f"{path}:{env['PATH']}"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*PIFOPFS, "serve", str(self.root / "fns"), "--engine", "slurm",
                 "--socket", str(self.socket), "--state-dir", str(self.state), *self._args],
                env=env, stdout=subprocess.PIPE, stderr=log,
            )  # fmt: skip
        assert self.process.stdout is not None
        assert self.process.stdout.readline(), self.log.read_text()

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        assert self.process is not None
        self.process.send_signal(number)
        self.process.communicate(timeout=60)
        self.process = None

    # ── The API ──────────────────────────────────────────────────────────────────────────────

    def call(self, method: str, path: str) -> dict[str, Any]:
        answer = subprocess.run(
            ["curl", "-sS", "--unix-socket", self.socket, "-X", method, f"http://x/joe/{path}"],
            capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
        return dict(json.loads(answer.stdout))

    def upload(self, execution: str, input_: str, content: bytes) -> None:
        subprocess.run(
            ["curl", "-sSf", "--unix-socket", self.socket, "--data-binary", "@-", "-X", "POST",
             f"http://x/joe/{execution}/input/{input_}"],
            input=content, check=True, timeout=60, stdout=subprocess.DEVNULL,
        )  # fmt: skip

    def started(self, function: str) -> str:
        """A new execution that was told to start: FUNCTION/executions/ID."""
        execution = f"{function}/executions/{self.call('POST', f'{function}/executions')['id']}"
        assert self.call("POST", f"{execution}/start")["status"] == "running"
        return execution

    def look(self, execution: str) -> dict[str, Any]:
        return self.call("GET", execution)

    def until_printed(self, execution: str, text: str) -> None:
        until(lambda: text in self.look(execution)["log"], 60, f"{text} in the log")

    def ended(self, execution: str, deadline: float = 60) -> dict[str, Any]:
        """How it ended, once it has."""

        def over() -> dict[str, Any] | None:
            document = self.look(execution)
            return document if document["status"] == "ended" else None

        return dict(until(over, deadline, f"{execution} has ended"))

    def output(self, execution: str) -> str:
        return subprocess.run(
            ["curl", "-sS", "--unix-socket", self.socket, f"http://x/joe/{execution}/output/r"],
            capture_output=True, text=True, check=True, timeout=60,
        ).stdout  # fmt: skip

    def jobs(self, execution: str, fields: str = "%i") -> list[str]:
        """Of an execution, as squeue shows them, in every state."""
        name = execution.rpartition("/")[2]
        lines = self.cluster.run("squeue", "-h", "-t", "all", "-o", f"{fields} %j").splitlines()
        return [line.rsplit(" ", 1)[0] for line in lines if line.endswith(name)]


@contextmanager
def cluster_server(
    root: Path, cluster: SlurmCluster, *args: str, probe: bool = False
) -> Iterator[ClusterServer]:
    """Not started yet. At the end its jobs are ended, too."""
    server = ClusterServer(root, cluster, *args, probe=probe)
    try:
        yield server
    finally:
        if server.process is not None:
            server.end(signal.SIGKILL)
        if cluster.conf.exists() and cluster.pid("slurmctld") is not None:
            cluster.clear()
