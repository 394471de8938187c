"""A server that is killed, or told to end, takes its programs along, and tells the truth later."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from pifopfs.machine import short_key
from tests.fakeservice import until
from tests.functions import write_function
from tests.mount.test_serve import serving
from tests.unit.server.test_engine import alive, marker, program


def call(socket: Path, method: str, path: str) -> dict[str, Any]:
    answer = subprocess.run(
        ["curl", "-s", "--unix-socket", socket, "-X", method, f"http://localhost/joe/fn{path}"],
        capture_output=True, text=True, check=True, timeout=20, env=os.environ | {"no_proxy": "*"},
    )  # fmt: skip
    return dict(json.loads(answer.stdout))


def groups(state: Path) -> list[str]:
    """The control groups of the runs of a server, by name."""
    prefix = short_key(short_key(os.fsencode(state.resolve())).encode())
    folders = (name for _, names, _ in os.walk("/sys/fs/cgroup") for name in names)  # they come, go
    return [name for name in folders if name.startswith(f"run-{prefix}-")]


@pytest.mark.local_only("jobs of a cluster go on: see tests/slurm/test_slurm_restart.py")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_no_program_survives_its_server_at_any_moment(root: Path, number: signal.Signals) -> None:
    mark = marker()
    script = f"setsid sh -c 'trap \"\" TERM; sleep {mark}' & trap '' TERM; echo up; sleep {mark}"
    write_function(root / "fns" / "joe" / "fn", script, limits={"max_memory": 100})
    (root / "own").mkdir(mode=0o700)
    socket = root / "own" / "s"
    state, started = root / "kept", list[str]()
    args = ("--socket", str(socket), "--state-dir", str(state))
    for turn in range(8):
        with serving(root, *args) as (process, _):
            for id_ in started:
                seen = call(socket, "GET", f"/executions/{id_}")
                assert (seen["status"], seen["end_reason"]) == ("ended", "system-error")
                assert "cut off" in seen["log"]
            assert alive(mark) == []
            assert groups(state) == []
            started = [str(call(socket, "POST", "/executions")["id"]) for _ in range(3)]
            for id_ in started:
                call(socket, "POST", f"/executions/{id_}/start")
            if turn == 0 and os.getuid() == 0 and Path("/sys/fs/cgroup/memory").exists():
                until(lambda: len(groups(state)) == 3)
            time.sleep(random.uniform(0, 0.05 if turn else 1))  # any moment is a right one
            process.send_signal(number)
            process.wait(20)
            until(lambda: not [pid for pid in alive(mark) if "bwrap" not in program(pid)], 5)
    with serving(root, *args):
        assert alive(mark) == []
        assert groups(state) == []
