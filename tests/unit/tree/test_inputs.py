"""What of an input's life is recorded, and when the record must be on the disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pifopfs.errors import LocalStorageFull
from pifopfs.tree.inputs import Input
from pifopfs.tree.inputstates import InputEvent, InputState
from pifopfs.tree.writer import Writer
from tests.unit.tree.test_inputfolder import Site, content, write


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.names.close()


def opened(site: Site) -> tuple[Input, Writer]:
    file, writer = site.reopen().create("a", 0o644, writing=True)
    assert writer is not None
    return file, writer


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is done to the disk, in order."""
    done: list[str] = []

    def noted(name: str) -> None:
        real = getattr(os, name)

        def call(*args: Any) -> Any:
            done.append(name)
            return real(*args)

        monkeypatch.setattr(os, name, call)

    for name in ("fdatasync", "pwrite", "truncate"):
        noted(name)
    return done


@pytest.mark.parametrize("truncate", [False, True])
def test_a_record_of_whole_bytes_is_gone_before_they_change(
    site: Site, calls: list[str], *, truncate: bool
) -> None:
    """A power cut would leave it with the bytes half changed."""
    file = write(site.reopen(), "a", b"old", sent=True)
    calls.clear()
    writer = file.open(writing=True, truncate=truncate)
    assert writer is not None
    file.write(writer, 0, b"new")
    assert calls == ["fdatasync", *["truncate"] * truncate, "pwrite"]


def test_a_new_input_waits_for_no_disk(site: Site, calls: list[str]) -> None:
    folder = site.reopen()
    calls.clear()
    write(folder, "a", b"new")
    assert calls == ["pwrite"]


def test_an_upload_while_it_is_open_is_not_recorded(site: Site) -> None:
    """Whoever finds it after a crash would take it for torn all the same."""
    file, _ = opened(site)
    file.happen(InputEvent.FLUSHED)
    assert [row.state for row in site.names.inputs(1)] == [InputState.WRITING]
    file.happen(InputEvent.CLOSED)
    assert [row.state for row in site.names.inputs(1)] == [InputState.SENT]


def test_writes_in_a_row_are_staged_at_once(site: Site) -> None:
    file, writer = opened(site)
    assert file.write_at_once(writer, 0, b"abc") == 0
    file.write(writer, 0, b"abc")
    assert file.write_at_once(writer, 3, b"def") == 3
    assert file.write_at_once(None, 3, b"def") == 0
    assert content(file) == b"abcdef"


@pytest.mark.parametrize("event", ["upload", "cut", "other writer", "failure", "death"])
def test_a_write_after_something_else_is_noted(
    site: Site, monkeypatch: pytest.MonkeyPatch, event: str
) -> None:
    file, writer = opened(site)
    other = file.open(writing=True)
    assert other is not None
    file.write(writer, 0, b"abc")
    if event == "upload":
        file._latest()
    elif event == "cut":
        file._cut()
    elif event == "other writer":
        file.write(other, 0, b"x")
    elif event == "failure":
        monkeypatch.setattr(os, "pwrite", full)
        with pytest.raises(LocalStorageFull):
            file.write(writer, 3, b"def")
        monkeypatch.undo()
    else:
        file.execution.dead = True
    assert file.write_at_once(writer, 3, b"def") == 0


def test_a_write_at_once_that_fails_is_left_to_the_other(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, writer = opened(site)
    file.write(writer, 0, b"abc")
    monkeypatch.setattr(os, "pwrite", full)
    assert file.write_at_once(writer, 3, b"def") == 0
    with pytest.raises(LocalStorageFull):
        file.write(writer, 3, b"def")
    assert writer.hole == 3


def full(*_: object) -> int:
    raise OSError(28, "No space left on device")
