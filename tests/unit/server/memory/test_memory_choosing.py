"""Which guard is chosen, and what is told about the others."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from pifopfs.errors import OptionInvalid, ServerNotStarted
from pifopfs.machine import Mounted
from pifopfs.server.memory import Confinement, cgroup1, cgroup2, control_groups, polling
from pifopfs.server.memory.choosing import VARIABLE, choose
from pifopfs.server.memory.control_groups import Unavailable, own_group
from pifopfs.server.memory.proof import prove


@pytest.fixture(autouse=True)
def _unforced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


def none_here() -> Path:
    raise Unavailable("none here")


def forbidden() -> Path:
    raise PermissionError(13, "Permission denied", "/group")


async def test_one_guard_is_chosen_and_the_log_tells_why_no_better_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    guard = await choose("a")
    [line] = caplog.messages
    better = {"cgroup v2": [], "cgroup v1": ["v2"], "polling": ["v2", "v1"]}[guard.name]
    assert line.startswith(f"memory limits: {guard.name}")
    assert [why.split(":")[0] for why in line.split("; ")[1:]] == [f"not {kind}" for kind in better]


async def test_polling_is_what_remains(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(cgroup2, "prepared", none_here)
    monkeypatch.setattr(cgroup1, "prepared", forbidden)
    assert (await choose("a")).name == "polling"
    assert caplog.messages == [
        "memory limits: polling; not v2: none here; not v1: /group: Permission denied"
    ]


async def test_an_operator_forces_a_guard(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setenv(VARIABLE, "polling")
    assert (await choose("a")).name == "polling"
    assert caplog.messages == [f"memory limits: polling, forced by {VARIABLE}"]


async def test_a_forced_guard_that_fails_is_replaced_by_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cgroup2, "prepared", none_here)
    monkeypatch.setenv(VARIABLE, "v2")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(ServerNotStarted) as caught:
        await choose("a")
    assert "not v2: none here" in str(caught.value)
    assert "systemd-run --user --scope -p Delegate=yes pifopfs serve" in str(caught.value)


async def test_a_guard_that_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "v3")
    with pytest.raises(OptionInvalid, match="v2, v1, polling"):
        await choose("a")


async def test_without_any_guard_there_is_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in (cgroup2, cgroup1, polling):
        monkeypatch.setattr(kind, "prepared", none_here)
    with pytest.raises(ServerNotStarted, match=r"not v2: .*; not v1: .*; not polling: none here"):
        await choose("a")


async def test_a_guard_that_stops_nothing_is_found_out() -> None:
    """Nobody looks here, so that polling sees nothing."""
    with pytest.raises(Unavailable, match="not stopped"):
        await prove(polling.prepared())


async def test_a_group_that_cannot_be_joined_is_found_out(tmp_path: Path) -> None:
    class Unjoinable(polling.Polling):
        def confine(self, name: str, limit: int) -> Confinement:
            confinement = super().confine(name, limit)
            confinement.join = (tmp_path / "none" / "cgroup.procs",)
            return confinement

    with pytest.raises(Unavailable, match=r"cannot join its group: .*(nonexistent|No such file)"):
        await prove(Unjoinable())


# ── Where this process's own group is found ───────────────────────────────────────────────────


@pytest.mark.parametrize("ours", ["outer/part/mine", "part/mine", "mine", "."])
def test_the_own_group_is_found_in_a_hierarchy_of_which_only_a_part_is_mounted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ours: str
) -> None:
    for folder in ("outer/part/mine", "part/mine", "mine", "."):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        inside = os.getpid() if folder == ours else 1
        (tmp_path / folder / "cgroup.procs").write_text(f"0\n{inside}\n")
        (tmp_path / folder / "marker").touch()
    monkeypatch.setattr(control_groups, "mounts", lambda: [Mounted(tmp_path, "fake", "none")])
    monkeypatch.setattr(control_groups, "_path", lambda _: Path("/outer/part/mine"))
    assert own_group("fake", "memory", "marker") == tmp_path / ours
    with pytest.raises(Unavailable, match="no mounted other"):
        own_group("other", "memory", "marker")


def test_processes_of_other_namespaces_have_no_number(tmp_path: Path) -> None:
    """A signal to 0 would reach the server itself."""
    (tmp_path / "cgroup.procs").write_text("0\n7\n0\n")
    assert control_groups.members(tmp_path) == [7]
