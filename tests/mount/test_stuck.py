"""Never stuck: a blocked call of any tool ends soon after a signal, and hundreds disturb nobody.

"Within two seconds" is asserted at five times that.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pifopfs.server.removal import remove
from tests.fakeservice import FakeExecution, FakeService, Fault, dribble, hang, until
from tests.mount.harness import Mount
from tests.mount.sleepers import blocked
from tests.soak import SOAK

DEADLINE = 10.0

PATIENT = {
    "PIFOPFS_STALL": "60",
    "PIFOPFS_TOTAL": "60",
    "PIFOPFS_CREATE": "60",
    "PIFOPFS_PATIENCE": "60",
    "PIFOPFS_FRESHNESS": "0.001",
    "PIFOPFS_RECHECK": "0.05",
}
"""Only a signal ends what blocks."""

BODY = b"x" * 1_000_000

C_PROGRAM = r"""
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
int main(int argc, char **argv) {
    char bytes[4096], *what = argv[1], *path = argv[2];
    struct stat status;
    if (!strcmp(what, "mkdir")) return mkdir(path, 0777);
    if (!strcmp(what, "rmdir")) return rmdir(path);
    if (!strcmp(what, "stat")) return stat(path, &status);
    FILE *file = fopen(path, what);
    if (!file) return 1;
    if (*what == 'w') fputs("1\n", file);
    else while (fread(bytes, 1, sizeof bytes, file) > 0);
    return fclose(file);
}
"""

# ── What blocks, and who makes the call ───────────────────────────────────────────────────────

READING = {
    "cat": "cat {0}",
    "cp": "cp {0} /dev/null",
    "dash": "exec dash -c 'read line < {0}'",
    "bash": "x=$(<{0})",
    "child": "exec 3< {0}; cat <&3",
    "python": "exec python3 -c 'open(\"{0}\").read()'",
    "C": "exec $M/../prog r {0}",
    "sed": "sed p {0}",
    "sort": "sort {0}",
    "awk": "awk 1 {0}",
    "tail": "tail -f {0}",
    "grep": "grep -c x {0}",
}

WRITING = {
    "dash": "exec dash -c 'echo 1 > {0}'",
    "bash": "echo 1 > {0}",
    "cp": "cp /etc/hostname {0}",
    "tee": "echo 1 | tee {0}",
    "python": 'exec python3 -c \'open("{0}", "w").write("1")\'',
    "C": "exec $M/../prog w {0}",
    "awk": "awk '{{ print > \"{0}\" }}' /etc/hostname",
    "dd": "dd if=/etc/hostname of={0} conv=notrunc",
}

STARTING = WRITING | {"truncate": ": > {0}", "touch": "touch {0}", "cp": "cp /dev/null {0}"}
UPLOADING = WRITING | {
    "sort": "sort -o {0} /etc/hostname",
    "group": "{{ cat; }} < /etc/hosts > {0}",
}
MKDIR = {"mkdir": "mkdir {0}", "python": "python3 -c 'import os; os.mkdir(\"{0}\")'"}
RMDIR = {"rmdir": "rmdir {0}", "rm": "rm -r {0}", "C": "exec $M/../prog rmdir {0}"}
LOOKING = {
    "ls": "ls -l {0}",
    "stat": "stat {0}/",
    "find": "find {0} -size +1",
    "python": "python3 -c 'import os; [os.stat(e) for e in os.scandir(\"{0}\")]'",
}


@dataclass(frozen=True)
class Kind:
    """One way to block."""

    tools: dict[str, str]
    path: str
    """… with the name of an execution for {0}: each tool has its own."""
    faults: tuple[str, ...]
    """The endpoints that never answer."""
    state: str = "pending"
    dribbles: bool = False
    """The output's first bytes come, and no more."""
    in_turn: bool = False
    """These hold the lock of `executions/`, so that the next would not reach the mount."""


KINDS = {
    "open log": Kind(READING, "executions/{0}/log", ("log", "status"), "running"),
    "open status": Kind(READING, "executions/{0}/status", ("status",), "running"),
    "open output": Kind(READING, "executions/{0}/output/r", ("size", "output"), "ended"),
    "read output": Kind(READING, "executions/{0}/output/r", (), "ended", dribbles=True),
    "open wait": Kind(READING, "executions/{0}/wait", ("status",), "running"),
    "read wait": Kind(READING, "executions/{0}/wait", (), "running"),
    "start": Kind(STARTING, "executions/{0}/start", ("start",)),
    "close input": Kind(UPLOADING, "executions/{0}/input/coords", ("upload",)),
    "list outputs": Kind(
        {tool: LOOKING[tool] for tool in ("ls", "find", "python")},
        "executions/{0}/output", ("status",), "running",
    ),
    "output size": Kind(
        {tool: LOOKING[tool] for tool in ("ls", "find", "python")},
        "executions/{0}/output", ("size",), "ended",
    ),
    "mkdir": Kind(
        MKDIR | {"C": "exec $M/../prog mkdir {0}"}, "executions/{0}-new", ("create",), in_turn=True
    ),
    "rmdir": Kind(RMDIR, "executions/{0}", ("terminate",), in_turn=True),
    "lookup": Kind(
        LOOKING | {"cat": "cat {0}/status", "C": "exec $M/../prog stat {0}"},
        "executions/exec_ELSEWHERE", ("status",), in_turn=True,
    ),
}  # fmt: skip

ENDS: dict[str, Callable[[subprocess.Popen[str]], None]] = {
    "SIGINT": lambda process: os.killpg(process.pid, signal.SIGINT),
    "SIGKILL": lambda process: os.killpg(process.pid, signal.SIGKILL),
    "timeout": lambda _: None,  # … ends them by itself
}

CELLS = [
    (what, how)
    for what in KINDS
    for how in ENDS
    if SOAK or how != "timeout" or what in ("read wait", "close input")
]

# ── Helpers ───────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[Mount, FakeService]]:
    """One mount for all kinds, whose calls have a minute."""
    root = Path(tempfile.mkdtemp(prefix="pf-", dir="/tmp"))
    compile_ = ["gcc", "-x", "c", "-", "-o", str(root / "prog")]
    subprocess.run(compile_, input=C_PROGRAM, text=True, check=True, timeout=60)
    with FakeService(root / "s.sock") as service:
        args = ("joe/tsp", "--endpoint", service.endpoint)
        with Mount(root, *args, env=PATIENT) as mount:
            yield mount, service
    remove(root)


def make(mount: Mount, service: FakeService, name: str, state: str) -> FakeExecution:
    """An execution in a state that the mount knows of."""
    until(lambda: mount.sh(f"mkdir executions/{name}", check=False).returncode == 0)
    execution = list(service.executions.values())[-1]
    if state != "pending":
        mount.sh(f"echo 1 > executions/{name}/start")
    if state == "ended":
        execution.end(r=BODY)
        until(lambda: mount.out(f"cat executions/{name}/status") == "ended\n")
    return execution


def run_blocked(
    mount: Mount, commands: dict[str, str], *, by_itself: bool
) -> dict[str, subprocess.Popen[str]]:
    """The tools, each in its own process group; returns when all have been blocked for a while."""
    wrapper = ["timeout", "-s", "INT", "3"] if by_itself else []
    script = f"M={mount.path}; "
    running = {
        tool: mount.spawn("setsid", *wrapper, "bash", "-c", script + command)
        for tool, command in commands.items()
    }
    for _ in range(2):
        for tool, process in running.items():
            until(lambda p=process: blocked(p.pid) or p.poll() is not None, what=tool)  # type: ignore[misc]
        time.sleep(0.15)
    free = {tool: p.communicate()[1] for tool, p in running.items() if p.poll() is not None}
    assert not free, f"not blocked: {free}"
    return running


def check_ends(running: dict[str, subprocess.Popen[str]], how: str) -> None:
    """All end within the deadline."""
    for process in running.values():
        ENDS[how](process)
    end = time.monotonic() + DEADLINE
    stuck = []
    for tool, process in running.items():
        try:
            process.wait(max(0.01, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            stuck.append(tool)
    assert not stuck, f"still there {DEADLINE} s after {how}: {stuck}"


def chosen(kind: Kind, cell: int) -> dict[str, str]:
    """All tools in a soak; else half of them, others for each cell."""
    every = list(kind.tools.items())
    return dict(every if SOAK or len(every) < 4 else every[cell % 2 :: 2])


# ── Every blocked call ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("what", "how"), CELLS)
def test_a_blocked_call_of_any_tool_ends_with_a_signal(
    shared: tuple[Mount, FakeService], what: str, how: str
) -> None:
    (mount, service), kind, release = shared, KINDS[what], threading.Event()
    tools = chosen(kind, CELLS.index((what, how)))
    names = {tool: f"{what.replace(' ', '-')}-{how}-{tool}" for tool in tools}
    for name in names.values():
        make(mount, service, name, kind.state)
    faults: dict[str, Fault] = dict.fromkeys(kind.faults, hang(release))
    if kind.dribbles:
        faults["output"] = dribble(BODY, release, 10)
    try:
        for endpoint, fault in faults.items():
            service.fault(endpoint, fault)
        commands = {
            tool: line.format(kind.path.format(names[tool])) for tool, line in tools.items()
        }
        groups = [{tool: commands[tool]} for tool in commands] if kind.in_turn else [commands]
        for group in groups:
            check_ends(run_blocked(mount, group, by_itself=how == "timeout"), how)
        if not kind.in_turn:
            mount.sh("ls executions > /dev/null; cat executions/*/id > /dev/null", timeout=DEADLINE)
    finally:
        service.heal()
        release.set()


# ── What never blocks ─────────────────────────────────────────────────────────────────────────

LOCAL = """
set -e
mv executions/local executions/local2; cd executions/local2/input
: > coords; echo 1 > .x; cp .x note.tmp; mv note.tmp other.tmp; mv .x coords
chmod 600 coords; cat coords; rm coords other.tmp
ls -l . .. ../.. > /dev/null; stat ../log > /dev/null; cat ../id ../error > /dev/null
"""


def test_local_calls_never_wait_for_a_service_that_hangs(
    shared: tuple[Mount, FakeService],
) -> None:
    (mount, service), release = shared, threading.Event()
    make(mount, service, "local", "pending")
    try:
        for endpoint in ("upload", "status", "log", "function", "create", "terminate"):
            service.fault(endpoint, hang(release))
        assert mount.out(LOCAL, timeout=DEADLINE) == "1\n"
    finally:
        service.heal()
        release.set()


def test_those_who_queue_behind_a_mkdir_are_freed_by_its_end(
    shared: tuple[Mount, FakeService],
) -> None:
    """They wait for a lock of the kernel's, which the one who holds it can be made to leave."""
    (mount, service), release = shared, threading.Event()
    make(mount, service, "queue", "pending")
    try:
        service.fault("create", hang(release))
        first = run_blocked(mount, {"mkdir": "mkdir executions/queue-new"}, by_itself=False)
        moving = mount.spawn("mv", "executions/queue", "executions/queue2")
        time.sleep(0.3)
        check_ends(first, "SIGINT")
        assert moving.wait(DEADLINE) == 0
        assert "queue2\n" in mount.out("ls executions", timeout=DEADLINE)
    finally:
        service.heal()
        release.set()
