"""The server's record: what is written is there again, what was dropped is gone."""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
import subprocess
from pathlib import Path

import pytest

from pifopfs.server.database import Database
from pifopfs.server.store import SCHEMA, Store, now
from pifopfs.wire import FileSpec, Status


def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    store = Store(tmp_path)
    record = store.create("joe", "tsp")
    assert record.status is Status.PENDING
    changed = store.change(
        record,
        status=Status.ENDED,
        end_reason="normal",
        exit_code=3,
        stopped=False,
        start_date=now(),
        end_date=now(),
        output=(FileSpec("r", "r.txt"),),
        stdout_cursor=7,
    )
    store.close()
    again = Store(tmp_path)
    assert again.find(record.id) == changed
    assert again.all() == [changed]
    again.close()


def test_what_a_server_that_died_has_left_is_found(tmp_path: Path) -> None:
    store = Store(tmp_path)
    kept, dropped = store.create("joe", "tsp"), store.create("joe", "tsp")
    half = store.folder(kept.id) / "uploads" / "0123"
    half.write_text("half")
    store.delete(dropped.id)
    store.close()
    store = Store(tmp_path)
    assert set(store.strays()) == {store.folder(dropped.id), half}
    assert store.find(dropped.id) is None
    store.close()


def test_a_record_without_a_folder_was_being_deleted(tmp_path: Path) -> None:
    store = Store(tmp_path)
    record = store.create("joe", "tsp")
    store.remove_files(record.id)
    store.close()
    store = Store(tmp_path)
    assert store.all() == []
    store.close()


def test_regression_a_change_leaves_alone_what_it_does_not_name(tmp_path: Path) -> None:
    """A run wrote its whole record back at its end, with the cursor of its beginning."""
    store = Store(tmp_path)
    old = store.create("joe", "tsp")
    store.change(old, stdout_cursor=7)
    changed = store.change(old, status=Status.RUNNING)
    assert (changed.status, changed.stdout_cursor) == (Status.RUNNING, 7)
    assert store.find(old.id) == changed
    store.close()


# ── A full disk ───────────────────────────────────────────────────────────────────────────────


def refuse(*_: object) -> None:
    raise sqlite3.OperationalError("database or disk is full")


def test_regression_what_the_disk_does_not_take_counts_and_is_written_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of a run on a full disk ended the server."""
    store = Store(tmp_path)
    ended, deleted = store.create("joe", "tsp"), store.create("joe", "tsp")
    with monkeypatch.context() as full:
        full.setattr(Database, "insist", refuse)
        store.keep(ended, status=Status.ENDED, end_reason="normal")
        store.keep(ended, stdout_cursor=3)
        store.delete(deleted.id)
        seen = store.find(ended.id)
        assert seen is not None
        assert (seen.status, seen.end_reason, seen.stdout_cursor) == (Status.ENDED, "normal", 3)
        assert store.find(deleted.id) is None
    store.pay()
    store.close()
    store = Store(tmp_path)
    assert store.all() == [seen]
    store.close()


def test_regression_an_execution_that_cannot_be_recorded_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    monkeypatch.setattr(Database, "write", refuse)
    with pytest.raises(sqlite3.OperationalError):
        store.create("joe", "tsp")
    assert list((tmp_path / "executions").iterdir()) == []
    store.close()


@pytest.mark.skipif(os.getuid() != 0, reason="a small disk is mounted as root")
def test_a_store_on_a_full_disk_is_opened_and_takes_ends(tmp_path: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", tmp_path], check=True)
    try:
        store = Store(tmp_path)
        records = [store.create("joe", "tsp") for _ in range(3)]
        fill(tmp_path / "big")
        for record in records:
            store.keep(record, status=Status.ENDED, end_reason="normal" * 50)
        store.close()
        fill(tmp_path / "rest")
        store = Store(tmp_path)
        assert {record.status for record in store.all()} == {Status.ENDED}
        for record in records:
            store.delete(record.id)
            store.remove_files(record.id)
        store.close()
    finally:
        subprocess.run(["umount", "-l", tmp_path], check=True)


def fill(path: Path) -> None:
    """Write until the disk is full."""
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass


def test_ids_and_dates_have_the_form_of_the_api(tmp_path: Path) -> None:
    store = Store(tmp_path)
    ids = {store.create("joe", "tsp").id for _ in range(50)}
    store.close()
    assert len(ids) == 50
    assert all(re.fullmatch(r"exec_[A-Za-z0-9]{16,}", id_) for id_ in ids)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", now())


# ── Versions ──────────────────────────────────────────────────────────────────────────────────


def test_a_store_of_the_first_version_is_brought_up_to_date(tmp_path: Path) -> None:
    (tmp_path / "executions" / "exec_1").mkdir(parents=True)
    old = sqlite3.connect(tmp_path / "store.sqlite")
    old.execute(SCHEMA[0])
    old.execute(
        "INSERT INTO executions (id, author, function, status, init_date, stdout_cursor)"
        " VALUES ('exec_1', 'joe', 'tsp', 'ended', '2026-01-01T00:00:00.000Z', 3)"
    )
    old.commit()
    old.close()
    for _ in range(2):
        store = Store(tmp_path)
        record = store.find("exec_1")
        assert record is not None
        assert (record.stdout_cursor, record.owner) == (3, None)
        assert store.create("joe", "tsp", "key").owner == "key"
        store.close()


def test_a_store_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    Store(tmp_path).close()
    later = sqlite3.connect(tmp_path / "store.sqlite")
    later.execute("PRAGMA user_version = 99")
    later.close()
    with pytest.raises(sqlite3.DatabaseError, match="later version"):
        Store(tmp_path)
