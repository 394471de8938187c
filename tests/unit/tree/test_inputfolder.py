"""The inputs of an execution and their record: what a mount finds that another one left behind."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pifopfs.errors import InputTorn, InputWithdrawn, LocalStorageFailed
from pifopfs.tree.closes import LastCloses
from pifopfs.tree.execution import Execution
from pifopfs.tree.inputfolder import InputFolder
from pifopfs.tree.inputs import Input
from pifopfs.tree.inputstates import InputEvent, InputState
from pifopfs.tree.names import Names
from pifopfs.wire import ExecutionId

DOCUMENT = {"id": "exec_1", "status": "pending"}


class Site:
    """A record and a staging folder, opened as often as a test likes."""

    def __init__(self, folder: Path) -> None:
        self.staging = folder / "staging"
        self.path = folder / "names.sqlite"
        self.names = Names(self.path)
        self.names.add(ExecutionId("exec_1"), "j", 1, DOCUMENT)

    def reopen(self, boot: str | None = None) -> InputFolder:
        """What the next mount sees, after another boot of the machine if `boot` is its name."""
        self.names.close()
        self.names = Names(self.path, boot)
        shared: Any = SimpleNamespace(
            names=self.names,
            settings=SimpleNamespace(freshness=1.0),
            function=SimpleNamespace(declares_input=lambda name: not name.startswith(".")),
            background=SimpleNamespace(start_to_finish=lambda _: None),
            closes=LastCloses(),
        )
        execution = Execution(self.names.executions()[0], shared)
        return InputFolder(execution, self.staging, count(100).__next__)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.names.close()


def write(folder: InputFolder, name: str, content: bytes, *, sent: bool = False) -> Input:
    """An input that was written and closed, and uploaded if `sent`."""
    file, writer = folder.create(name, 0o644, writing=True)
    assert writer is not None
    file.write(writer, 0, content)
    file.release(writer)
    if sent:
        file.remote.learn(known=True)
        file.happen(InputEvent.UPLOADED)
    return file


def content(file: Input) -> bytes:
    return file.staged.path.read_bytes()


def test_inputs_come_back_with_their_bytes_and_states(site: Site) -> None:
    folder = site.reopen()
    write(folder, "sent", b"1", sent=True)
    write(folder, "unsent", b"2").set_mode(0o640)
    open_, writer = folder.create("open", 0o644, writing=True)
    assert writer is not None
    open_.write(writer, 0, b"3")
    again = {file.name: file for file in site.reopen()}
    assert {name: content(file) for name, file in again.items()} == {
        "sent": b"1", "unsent": b"2", "open": b"3",
    }  # fmt: skip
    assert again["sent"].state is InputState.SENT
    assert (again["unsent"].state, again["unsent"].mode) == (InputState.CLOSED, 0o640)
    assert again["open"].state is InputState.TORN
    with pytest.raises(InputTorn):
        again["open"].check_complete()


def test_bytes_that_may_not_have_reached_the_disk_are_torn_by_a_reboot(site: Site) -> None:
    """Of a power cut, which may have left them short, or full of zeros."""
    folder = site.reopen()
    write(folder, "sent", b"1", sent=True)
    write(folder, "closed", b"2")
    write(folder, "unsent", b"3").happen(InputEvent.SYNCED)
    for boot in ("b", "b", "c"):
        states = {file.name: file.state for file in site.reopen(boot)}
        assert states == {
            "sent": InputState.SENT, "closed": InputState.TORN, "unsent": InputState.UNSENT,
        }  # fmt: skip


def test_foreign_files_in_the_staging_folder_are_left_alone(site: Site) -> None:
    """One of them made all inputs unreadable."""
    write(site.reopen(), "a", b"1")
    (site.staging / ".nfs0001").touch()
    assert [file.name for file in site.reopen()] == ["a"]
    assert (site.staging / ".nfs0001").exists()


def test_a_rename_is_done_wholly_or_not_at_all(site: Site) -> None:
    """The record says which bytes have the name: a crash right after it loses nothing."""
    folder = site.reopen()
    write(folder, "model", b"OLD", sent=True)
    new = write(folder, ".new", b"NEW")
    site.names.rename_input(1, ".new", "model", InputState.UNSENT)  # … and here the daemon dies
    (file,) = site.reopen()
    assert (file.name, content(file), file.state) == ("model", b"NEW", InputState.UNSENT)
    assert [path.name for path in site.staging.iterdir()] == [str(new.number)]


def test_staged_files_that_no_record_speaks_of_are_removed(site: Site) -> None:
    folder = site.reopen()
    file = write(folder, "a", b"1")
    site.names.drop_input(1, "a")  # an unlink, cut off by a crash
    assert list(site.reopen()) == []
    assert list(site.staging.iterdir()) == []
    assert file.staged.path.exists() is False


def test_numbers_are_not_given_twice(site: Site) -> None:
    folder = site.reopen()
    write(folder, "a", b"1")
    write(folder, "b", b"2")
    folder = site.reopen()
    write(folder, "c", b"3")
    assert {file.name: content(file) for file in folder} == {"a": b"1", "b": b"2", "c": b"3"}


def test_a_withdrawn_input_is_remembered(site: Site) -> None:
    folder = site.reopen()
    write(folder, "a", b"1", sent=True)
    folder.unlink("a")
    for _ in range(2):
        with pytest.raises(InputWithdrawn):
            folder.check_startable()
        folder = site.reopen()
    write(folder, "a", b"2")
    folder.check_startable()


def test_bytes_that_are_lost_are_no_input(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    folder = site.reopen()
    write(folder, "a", b"1").staged.path.unlink()
    assert list(site.reopen()) == []
    assert "lost" in caplog.text
    assert list(site.reopen()) == []


def test_a_record_of_another_version_is_refused(site: Site) -> None:
    site.names._db.execute("PRAGMA user_version = 99")
    with pytest.raises(LocalStorageFailed, match="another version"):
        site.reopen()


def test_names_are_any_bytes(site: Site) -> None:
    name = os.fsdecode(b"\xff\n ")
    write(site.reopen(), name, b"1", sent=True)
    (file,) = site.reopen()
    assert file.name == name
    assert file.remote.known


def test_a_folder_is_made_once_more_where_it_is_gone(site: Site) -> None:
    site.reopen()
    site.staging.rmdir()
    write(site.reopen(), "a", b"1")
