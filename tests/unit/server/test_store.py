"""The server's record: what is written is there again, what was dropped is gone."""

from __future__ import annotations

import re
from pathlib import Path

from pifopfs.server.store import Store, now
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


def test_folders_that_no_record_knows_are_removed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    kept, dropped = store.create("joe", "tsp"), store.create("joe", "tsp")
    (store.folder(dropped.id) / "inputs" / "a").write_text("x")
    store.folder(dropped.id).chmod(0)
    store.delete(dropped.id)
    store.close()
    store = Store(tmp_path)
    assert [path.name for path in (tmp_path / "executions").iterdir()] == [kept.id]
    assert store.find(dropped.id) is None
    store.close()


def test_ids_and_dates_have_the_form_of_the_api(tmp_path: Path) -> None:
    store = Store(tmp_path)
    ids = {store.create("joe", "tsp").id for _ in range(50)}
    store.close()
    assert len(ids) == 50
    assert all(re.fullmatch(r"exec_[A-Za-z0-9]{16,}", id_) for id_ in ids)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", now())
