"""A power cut in the middle of a state write leaves a state that can be read and trusted."""

from __future__ import annotations

import os
import random
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pifopfs.errors import PifopfsError
from pifopfs.server.removal import remove
from pifopfs.tree.execution import Execution
from pifopfs.tree.inputfolder import InputFolder
from pifopfs.tree.inputstates import InputState
from pifopfs.tree.names import Names
from pifopfs.tree.rows import ExecutionRow
from tests.fakeservice import FakeService, Handler, refuse, until
from tests.mount.harness import PIFOPFS, Mount
from tests.powercut import Call, Disk, read_trace, traced
from tests.soak import amount

SEED = os.environ.get("POWERCUT_SEED") or str(random.randrange(2**32))

# ── What was promised ─────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Step:
    """One thing that a user did, and what there is after it."""

    began: float
    done: float
    names: frozenset[str]
    inputs: dict[str, bytes]
    """Of the execution `job`; an empty name stands for none."""


BIG, SMALL = random.Random(1).randbytes(300_000), random.Random(2).randbytes(5000)
PATCHED = BIG[:100_000] + SMALL + BIG[105_000:]

SCRIPT: list[tuple[str, str, dict[str, bytes]]] = [
    ("mkdir executions/a", "a", {}),
    ("mkdir executions/job", "a job", {}),
    ("cp $M/../big executions/job/input/coords", "a job", {"coords": BIG}),
    ("mkdir executions/b", "a b job", {"coords": BIG}),
    ("mv executions/b executions/c", "a c job", {"coords": BIG}),
    ("! cp $M/../small executions/job/input/model", "a c job", {"coords": BIG, "model": SMALL}),
    ("mkdir executions/e", "a c e job", {"coords": BIG, "model": SMALL}),
    ("rmdir executions/a", "c e job", {"coords": BIG, "model": SMALL}),
    (
        "dd if=$M/../small of=executions/job/input/coords conv=notrunc seek=100 bs=1000",
        "c e job", {"coords": PATCHED, "model": SMALL},
    ),
    (
        "cd executions/job/input; cp $M/../big .new; mv .new model",
        "c e job", {"coords": PATCHED, "model": BIG},
    ),
    ("cp $M/../small executions/job/input/coords", "c e job", {"coords": SMALL, "model": BIG}),
    (": > executions/job/input/model", "c e job", {"coords": SMALL, "model": b""}),
    ("rm executions/job/input/model", "c e job", {"coords": SMALL}),
    ("! cp $M/../big executions/job/input/model", "c e job", {"coords": SMALL, "model": BIG}),
]  # fmt: skip
"""(what is run, the executions after it, the inputs of `job` after it)."""


def refuse_model(handler: Handler) -> None:
    """Uploads of `model` fail, so that the only bytes of it are here."""
    *_, execution, _, name = handler.path.split("/")
    if name == "model":
        refuse(400)(handler)
    else:
        handler._upload(execution, name)


@dataclass
class Recording:
    """All that was done to the state folder, and what the user did meanwhile."""

    folder: Path
    calls: list[Call]
    steps: list[Step]


@pytest.fixture(scope="module")
def recording() -> Iterator[Recording]:
    root = Path(tempfile.mkdtemp(prefix="pf-", dir="/tmp"))
    (root / "big").write_bytes(BIG)
    (root / "small").write_bytes(SMALL)
    with FakeService(root / "s.sock") as service:
        service.fault("upload", refuse_model)
        mount = Mount(root, "joe/tsp", "--endpoint", service.endpoint)
        options = ["mount", "--foreground", mount.target, str(mount.path), *mount.args]
        daemon = subprocess.Popen(
            traced(root / "trace", [*PIFOPFS, *options]), env=mount.env, stderr=subprocess.DEVNULL
        )
        try:
            until(mount.mounted)
            steps = list(do_all(mount))
            mount.umount()
        finally:
            mount.clean_up()
            daemon.wait(20)
    (folder,) = (root / "state/pifopfs/mounts").iterdir()
    yield Recording(folder, [call for call in read_trace(root / "trace") if call.on(folder)], steps)
    remove(root)


def do_all(mount: Mount) -> Iterator[Step]:
    yield Step(0, 0, frozenset(), {})
    for script, names, inputs in SCRIPT:
        began = time.time()
        mount.sh(script)
        yield Step(began, time.time(), frozenset(names.split()), inputs)


# ── What is found ─────────────────────────────────────────────────────────────────────────────


def open_inputs(names: Names, row: ExecutionRow, folder: Path) -> InputFolder:
    """As the next mount does."""
    shared: Any = SimpleNamespace(
        names=names,
        settings=SimpleNamespace(freshness=1.0),
        function=SimpleNamespace(declares_input=lambda name: name in ("coords", "model")),
        background=SimpleNamespace(start_to_finish=lambda _: None),
    )
    staging = folder / "staging" / str(row.serial)
    return InputFolder(Execution(row, shared), staging, count(100).__next__)


def check(folder: Path, possible: list[Step]) -> None:
    """What is in `folder` is as after one of the steps; nothing half is taken for whole."""
    names = Names(folder / "names.sqlite", boot="the next one")
    try:
        rows = {row.name: row for row in names.executions()}
        assert rows.keys() in [step.names for step in possible]
        if "job" in rows:
            inputs = open_inputs(names, rows["job"], folder)
            found = {file.name: file for file in inputs if file.declared}
            for name, file in found.items():
                whole = [step.inputs[name] for step in possible if name in step.inputs]
                data = file.staged.path.read_bytes()
                assert file.state is InputState.TORN or data in whole, (name, file.state, len(data))
            try:
                inputs.check_startable()
            except PifopfsError:
                return
            assert found.keys() in [step.inputs.keys() for step in possible]
    finally:
        names.close()


# > After a power cut an input is torn, too, whose bytes had not reached the disk yet: that
# > takes moments, and an upload of up to 1 MiB that succeeded has waited for it.
@pytest.mark.parametrize("fate", ["kept", "lost", "torn"])
def test_after_a_power_cut_all_that_was_promised_is_there(
    recording: Recording, tmp_path: Path, fate: str
) -> None:
    """What was written and not yet made safe is kept, lost, or torn."""
    calls, chance, wrong = recording.calls, random.Random(f"{SEED} {fate}"), []
    cuts = {chance.randrange(1, len(calls)) for _ in range(amount(100, 5000))}
    disk = Disk(recording.folder)
    for number, call in enumerate(calls):
        if number in cuts:
            target = tmp_path / str(number)
            target.mkdir()
            disk.after_the_cut(target, chance, fate)
            done = [n for n, step in enumerate(recording.steps) if step.done <= call.time]
            begun = [n for n, step in enumerate(recording.steps) if step.began <= call.time]
            try:
                check(target, recording.steps[done[-1] : begun[-1] + 1])
            except (AssertionError, PifopfsError) as error:
                what = str(error).splitlines()[0]
                wrong.append(f"cut before call {number}, after step {done[-1]}: {what}")
        disk.do(call)
    few = "\n".join(wrong[:10])
    assert not wrong, f"POWERCUT_SEED={SEED}, {fate}: {len(wrong)} of {len(cuts)} cuts\n{few}"
