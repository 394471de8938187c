"""Every call on every kind of file: the tables of docs/SEMANTICS.md are the data of these tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doctable import rows
from tests.fakeservice import FakeExecution, FakeService, until
from tests.mount import calls
from tests.mount.callplan import DOCUMENT, KINDS, STATES, Plan, calls_of
from tests.mount.harness import Mount

USER = 12345
AS_ROOT = os.getuid() == 0


def test_every_call_of_the_tables_is_tried_and_no_other() -> None:
    told = {call for kind in KINDS for row in rows(DOCUMENT, kind) for call in calls_of(row)}
    assert told == set(calls.PROBES)


@pytest.mark.parametrize("kind", KINDS)
def test_a_table_tells_each_call_once_and_in_states_that_are_tried(kind: str) -> None:
    told = rows(DOCUMENT, kind)
    assert set(told[0]) <= {"call", *STATES}
    names = [call for row in told for call in calls_of(row)]
    assert len(names) == len(set(names))


@pytest.fixture
def mount(root: Path, service: FakeService) -> Iterator[Mount]:
    """A mount whose files belong to an ordinary user, where the tests may be that user."""
    service.inputs = None
    root.chmod(0o711)
    (root / "outside").mkdir()
    options: tuple[str, ...] = ()
    if AS_ROOT:
        os.chown(root / "outside", USER, USER)
        options = ("-o", f"allow_other,uid={USER},gid={USER}")
    args = ("joe/tsp", "--endpoint", service.endpoint, *options)
    with Mount(root, *args, env={"PIFOPFS_GONE_RECHECK": "1"}) as mounted:
        yield mounted


# > `fallocate`, `link`, `symlink`, `mknod` | refused; `posix_fallocate` works, the C library
# > writes zeros | EOPNOTSUPP, EPERM
#
# > extended attributes | none | EOPNOTSUPP
@pytest.mark.parametrize("state", STATES)
def test_every_call_gives_what_the_document_tells(
    mount: Mount, service: FakeService, state: str
) -> None:
    outside = f"{mount.root}/outside"
    plans = [
        Plan(str(mount.path), outside, state, root=root, first=1000 * root)
        for root in ((False, True) if AS_ROOT else (False,))
    ]
    for plan in plans:
        mount.sh(f"cd executions; mkdir {' '.join(plan.executions)}")
    made = iter(list(service.executions.values()))
    for plan in plans:
        bring_about(mount, service, plan, {name: next(made) for name in plan.executions})
        different = [
            f"{path}, {state}: {call} gives {result} to {plan.user}, not {told}"
            for (path, call, told), result in zip(plan.told, run(mount, plan), strict=True)
            if result != told
        ]
        assert not different, "\n".join(different)


def run(mount: Mount, plan: Plan) -> list[str]:
    """Do the calls; what they gave."""
    become = [str(USER)] if AS_ROOT and plan.user != "root" else []
    process = mount.spawn(sys.executable, calls.__file__, *become, stdin=subprocess.PIPE)
    out, errors = process.communicate(json.dumps(plan.groups), timeout=90)
    assert process.returncode == 0, (process.returncode, errors)
    return [result for group in json.loads(out) for result in group]


def bring_about(
    mount: Mount, service: FakeService, plan: Plan, made: dict[str, FakeExecution]
) -> None:
    """Bring the executions of a plan, which were made, each to its state."""
    inputs = [path for path in plan.files if "/input/" in path]
    mount.sh(f"for f in {' '.join(inputs)}; do echo input > $f; done")
    started = [name for name, state in plan.executions.items() if state != "pending"]
    mount.sh(f"cd executions; for e in {' '.join(started)}; do echo 1 > $e/start; done")
    outputs = [path for path in plan.files if "/output/" in path]
    for name in started:
        made[name].log = b"log\n"
        if plan.executions[name] != "running":
            made[name].outputs = {Path(path).name: b"42" for path in outputs}
            made[name].end()
    states = list(plan.executions.values())
    until(lambda: shown(mount, plan) == [state.replace("gone", "ended") for state in states])
    if plan.state in ("gone", "terminated"):  # what is here stays
        logs = [f"executions/{name}/log" for name in plan.executions]
        mount.sh(f"cat {' '.join(outputs + logs)}")
    if plan.state == "gone":
        for name in started:
            del service.executions[made[name].id]
        until(lambda: shown(mount, plan) == states)


def shown(mount: Mount, plan: Plan) -> list[str]:
    """The states as the mount tells them."""
    files = " ".join(f"executions/{name}/status" for name in plan.executions)
    return mount.out(f"cat {files}").split()
