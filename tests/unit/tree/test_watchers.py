"""What a watch waits to be told, by what it is on and by its mask."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from pifopfs.tree.directories import ExecutionDirectory, InputDirectory, OutputDirectory
from pifopfs.tree.files import FILES, VALUES
from pifopfs.tree.looks import MOST, Looks
from pifopfs.tree.raised import ATTRIB, CLOSE_WRITE, CREATE, MODIFY
from pifopfs.tree.settings import Settings
from pifopfs.tree.watchers import CHANGING, Wishes

ALL = 0xFFF
DELETE_SELF = 0x400


class FakeExecution:
    name, over = "j", False


class FakeJob:
    """As much of a job as a node is made with."""

    def __init__(self) -> None:
        self.execution = FakeExecution()

    def ino(self, slot: int) -> int:
        return slot


JOB: Any = FakeJob()


def wish(node: Any, mask: int) -> dict[str, int]:
    wishes = Wishes()
    assert set(wishes.add(node, mask)) == wishes.events.keys()
    return wishes.events


@pytest.mark.parametrize("name", [name for name in VALUES if name != "id"] + ["log"])
def test_a_file_that_changes_is_told_of_as_its_watch_waits_for_it(name: str) -> None:
    node = FILES[name](JOB, name)
    assert wish(node, ALL) == {name: MODIFY | CLOSE_WRITE}
    assert wish(node, MODIFY) == {name: MODIFY}
    assert wish(node, CLOSE_WRITE | ATTRIB) == {name: CLOSE_WRITE}
    assert wish(node, ATTRIB | DELETE_SELF) == {name: ATTRIB}
    assert wish(node, DELETE_SELF) == {}


@pytest.mark.parametrize("name", ["id", "start", "stop", "wait"])
def test_a_file_that_never_changes_is_not_followed(name: str) -> None:
    assert wish(FILES[name](JOB, name), ALL) == {}


def test_a_directory_is_told_of_what_its_files_contain_but_not_of_attributes() -> None:
    node = ExecutionDirectory(JOB)
    assert wish(node, ALL) == dict.fromkeys(CHANGING, MODIFY | CLOSE_WRITE)
    assert wish(node, ATTRIB | CREATE | DELETE_SELF) == {}  # systemd's, on the way to a file


def test_output_is_told_of_what_appears() -> None:
    assert wish(OutputDirectory(JOB), ALL) == {"output": MODIFY | CLOSE_WRITE | CREATE}
    assert wish(OutputDirectory(JOB), CREATE | ATTRIB) == {"output": CREATE}
    assert wish(OutputDirectory(JOB), DELETE_SELF) == {}
    assert wish(InputDirectory(JOB), ALL) == {}


def test_several_watches_are_told_of_all_that_any_waits_for() -> None:
    wishes = Wishes()
    wishes.add(FILES["status"](JOB, "status"), MODIFY)
    wishes.add(ExecutionDirectory(JOB), CLOSE_WRITE)
    assert wishes.events["status"] == MODIFY | CLOSE_WRITE
    assert wishes.events["log"] == CLOSE_WRITE


# ── Looks ─────────────────────────────────────────────────────────────────────────────────────


def test_looks_are_noted_once_somebody_is_interested_and_only_while_something_may_change() -> None:
    looks, job = Looks(), FakeJob()
    node = FILES["status"](job, "status")  # type: ignore[arg-type]
    looks.note(node)
    assert not looks
    looks.begin()
    looks.note(node)
    assert looks
    assert looks.take()
    assert not looks
    job.execution.over = True
    looks.note(node)
    assert not looks.take()


def test_a_watch_on_a_file_is_no_older_than_the_first_look_at_it() -> None:
    looks = Looks()
    looks.begin()
    status, log, folder = (FILES[n](JOB, n) for n in ("status", "log", "log"))
    looks.note(status)
    folder = ExecutionDirectory(JOB)  # type: ignore[assignment]
    taken = looks.take()
    assert taken.earliest_watch(status) < taken.earliest_watch(log)
    assert taken.earliest_watch(folder) < taken.earliest_watch(status) - 10**8


# ── How often is asked ────────────────────────────────────────────────────────────────────────


# > A pending execution is asked about the less often the older it is, down to every 10 s. Where
# > more than 16 are watched, each is asked about less often, so that all of them cost the service
# > as much as 16.
def test_the_more_are_watched_the_less_often_each_is_asked_for() -> None:
    settings = Settings(Path("s"), Path("c"))
    one = settings.watched_interval(1000.0, 1, pending=False)
    assert one == settings.longest_interval
    assert settings.watched_interval(1000.0, 16, pending=False) == one
    assert settings.watched_interval(1000.0, 1600, pending=False) == 100 * one
    assert settings.watched_interval(1000.0, 1, pending=True) == settings.gone_recheck
    assert settings.watched_interval(0.0, 1, pending=True) == settings.shortest_interval


def test_of_very_many_looks_those_that_are_not_kept_may_have_been_at_any_time() -> None:
    looks = Looks()
    looks.begin()
    began = time.time_ns()
    nodes = [FILES["status"](JOB, "status") for _ in range(MOST + 1)]
    for number, node in enumerate(nodes):
        node.ino = number
        looks.note(node)
    taken = looks.take()
    assert taken.earliest_watch(nodes[0]) > began
    assert taken.earliest_watch(nodes[-1]) < began
    looks.note(nodes[-1])
    assert looks.take().earliest_watch(nodes[0]) > began
