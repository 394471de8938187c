"""Crashes: the daemon is killed at any moment, and nothing that was promised is lost."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import random
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.fakeservice import FakeService, Handler, dribble, until
from tests.mount import workload
from tests.mount.harness import Mount
from tests.mount.slowservice import SlowService
from tests.mount.workload import input_content
from tests.soak import amount

USERS = 3
ROUNDS = 5
SEED = os.environ.get("CRASH_SEED") or str(random.randrange(2**32))

# ── What was promised ─────────────────────────────────────────────────────────────────────────

LOOK = """
import hashlib, json
from pathlib import Path
found = {}
for job in Path("executions").iterdir():
    this = found[job.name] = {"id": (job / "id").read_text().strip(), "start": 0}
    try: (job / "start").write_text("1")
    except OSError as error: this["start"] = error.errno
    if (job / "status").read_text() in ("running\\n", "ended\\n"):
        this["end"] = (job / "wait").read_text()
        this["output"] = hashlib.sha256((job / "output/r").read_bytes()).hexdigest()
print(json.dumps(found))
"""
"""Starts every execution there is, and reads what comes of it."""


@dataclass
class Promises:
    """What the users' journals say of one execution."""

    made: bool = False
    removing: bool = False
    removed: bool = False
    inputs: dict[str, str] = field(default_factory=dict)
    """The last event of each."""

    def take(self, event: str, what: str) -> None:
        if what:
            self.inputs[what] = event
        elif event in ("made", "removed"):
            setattr(self, event, True)
        elif event == "rmdir":
            self.removing = True

    @property
    def torn(self) -> bool:
        """A writer was in the middle of an input."""
        return "opened" in self.inputs.values()

    @property
    def whole(self) -> bool:
        """Each input that was begun was closed, or renamed, with success.

        A crash between the answer to a close and the release that follows looks like one with
        the file open: what is there is refused, not run on.
        """
        return all(event == "settled" for event in self.inputs.values())


def read_journals(folder: Path) -> dict[str, Promises]:
    promises: dict[str, Promises] = {}
    for journal in folder.glob("*.journal"):
        for line in journal.read_text().splitlines():
            event, name, what = json.loads(line)
            promises.setdefault(name, Promises()).take(event, what)
    return promises


class Crashes:
    """A mount that dies again and again under its users."""

    def __init__(self, mount: Mount, service: FakeService, seed: str) -> None:
        self.mount = mount
        self.service = service
        self.slow = SlowService(service)
        self.seed = seed
        self.random = random.Random(seed)

    def path(self, user: int) -> Path:
        return self.mount.root / f"{user}.journal"

    def journal(self, user: int) -> str:
        return self.path(user).read_text() if self.path(user).exists() else ""

    def round(self, number: int) -> None:
        moment = self.random.uniform(0, 1.5)
        where = f"CRASH_SEED={SEED}, {self.seed}: round {number}, killed after {moment:.3f} s"
        users = [
            self.mount.spawn(
                sys.executable, "-S", workload.__file__,
                str(self.path(user)), f"r{number}u{user}", self.seed,
            )
            for user in range(USERS)
        ]  # fmt: skip
        until(lambda: all(f"r{number}u{user}-0" in self.journal(user) for user in range(USERS)))
        time.sleep(moment)  # the moment is what this test is about
        self.mount.kill()
        for process in users:
            _, stderr = process.communicate(timeout=20)
            assert process.returncode == 0, f"{where}\n{stderr}"
        until(lambda: self.slow.under_way == 0)
        before = {id_: execution.status for id_, execution in self.service.executions.items()}
        self.mount.mount()
        self.check(before, where)
        if number % 2:
            self.sweep()

    def sweep(self) -> None:
        """Remove all there is; the journal says so."""
        with (self.mount.root / "sweep.journal").open("a") as journal:
            for name in self.mount.out("ls executions").split():
                self.mount.sh(f"rmdir executions/{name}")
                print(json.dumps(["removed", name, ""]), file=journal)

    def check(self, before: dict[str, str], where: str) -> None:
        found = json.loads(self.mount.python(LOOK, timeout=60))
        promises = read_journals(self.mount.root)
        for name, promise in promises.items():
            if promise.removed:
                assert name not in found, f"{where}: {name} came back"
            elif promise.made and not promise.removing:
                assert name in found, f"{where}: {name} is lost"
        orphans = self.service.executions.keys() - {this["id"] for this in found.values()}
        unclear = [name for name, promise in promises.items() if not promise.made]
        assert len(orphans) <= len(unclear), f"{where}: {orphans} have no name"
        for name, this in found.items():
            self.check_one(promises[name], name, this, before, f"{where}: {name}: {this}")

    def check_one(
        self,
        promise: Promises,
        name: str,
        this: dict[str, object],
        before: dict[str, str],
        where: str,
    ) -> None:
        execution = self.service.executions.get(str(this["id"]))
        if execution is None:
            assert promise.removing, where
            return
        assert self.slow.starts.get(execution.id, 0) <= 1, where
        if before[execution.id] != "pending":
            assert this["start"] == errno.EINVAL, where  # it has ended
        elif promise.torn:
            assert this["start"] == errno.EINVAL, where
        elif promise.whole:
            assert this["start"] == 0, where
        else:  # a close was under way
            assert this["start"] in (0, errno.EINVAL), where
        if execution.status == "ended":
            for what, event in promise.inputs.items():
                assert what in execution.inputs or event == "open", where
            for what, data in execution.inputs.items():
                assert data == input_content(name, what), f"{where}: {what} has {len(data)} bytes"
            whole = hashlib.sha256(execution.outputs["r"]).hexdigest()
            assert (this["end"], this["output"]) == ("normal\n", whole), where
        else:
            assert this["start"] == errno.EINVAL, where


# > **When the daemon dies** (killed, power cut) or is told to end: names come back, bytes that
# > were closed are with the service or uploaded by `start`.
@pytest.mark.timeout(amount(240, 600))
@pytest.mark.parametrize("batch", range(amount(2, 20)))
def test_a_daemon_killed_at_any_moment_loses_nothing(
    mount: Mount, service: FakeService, batch: int
) -> None:
    crashes = Crashes(mount, service, f"{SEED}-{batch}")
    for number in range(ROUNDS):
        crashes.round(number)


# ── What is in the middle of something ────────────────────────────────────────────────────────


# > A start whose answer the crash swallowed is not repeated: EALREADY. A download that was cut
# > off is begun anew.
def test_what_was_under_way_when_the_daemon_died_is_told_apart(
    mount: Mount, service: FakeService
) -> None:
    """A start whose answer was never read, half a download, half an input."""
    mount.sh("mkdir executions/{started,half,ended}; echo 1 > executions/ended/start")
    started, _, ended = service.executions.values()
    body = os.urandom(5_000_000)
    ended.end(r=body)
    until(lambda: mount.out("cat executions/ended/status") == "ended\n")
    release = threading.Event()

    def act_and_hang(handler: Handler) -> None:
        started.status = "running"
        release.wait(20)
        handler.close_connection = True

    service.fault("start", act_and_hang)
    service.fault("output", dribble(body, release, 3_000_000))
    starting = mount.spawn("bash", "-c", "echo 1 > executions/started/start")
    reading = mount.spawn("cp", "executions/ended/output/r", str(mount.root / "copy"))
    writing = mount.spawn("tee", "executions/half/input/coords", stdin=subprocess.PIPE)
    assert writing.stdin is not None
    writing.stdin.write("half")
    writing.stdin.flush()
    until(lambda: mount.sh("cat executions/half/input/coords", check=False).stdout == "half")
    until(lambda: started.status == "running" and service.count("output"))
    copy = mount.root / "copy"
    until(lambda: copy.exists() and copy.stat().st_size >= 1_000_000)
    mount.kill()
    release.set()
    service.heal()
    for process in (starting, reading):
        assert process.wait(10) != 0
    mount.mount()
    for name, refusal in {"started": "already in progress", "half": "Invalid argument"}.items():
        refused = mount.sh(f"echo 1 > executions/{name}/start", check=False)
        assert refusal in refused.stderr
    assert service.count("start") == 2  # with that of `ended`
    mount.sh("cp executions/ended/output/r $M/../copy")
    assert copy.read_bytes() == body
    mount.sh("echo whole > executions/half/input/coords; echo 1 > executions/half/start")
    assert [execution.inputs for execution in service.executions.values()][1] == {
        "coords": b"whole\n"
    }
