"""Keys as they are kept: hashes in the store, master keys in files of their own."""

from __future__ import annotations

import os
import re
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from pifopfs.server.callers import MASTER
from pifopfs.server.keys import KeyLimits, Keys, master_key
from pifopfs.server.refusals import NameTaken, Unknown
from pifopfs.server.store import Store

TSP = ("joe", "tsp")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path)
    yield store
    store.close()


@pytest.fixture
def keys(store: Store, tmp_path: Path) -> Keys:
    return Keys(store, tmp_path)


# ── API keys ──────────────────────────────────────────────────────────────────────────────────


def test_a_key_has_the_form_of_the_api_and_is_never_the_same(keys: Keys) -> None:
    texts = {keys.create(*TSP, f"k{n}", KeyLimits())[1] for n in range(20)}
    assert len(texts) == 20
    assert all(re.fullmatch(r"apikey_[A-Za-z0-9]{48}", text) for text in texts)


def test_a_key_comes_back_as_it_was_without_its_text(
    keys: Keys, store: Store, tmp_path: Path
) -> None:
    key, text = keys.create(*TSP, "david", KeyLimits(0.5, 1.25, 3))
    assert keys.all(*TSP) == [key]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", key.created or "")
    rows = str(store.database.read("SELECT * FROM keys"))
    assert text.removeprefix("apikey_") not in rows
    assert key.digest not in repr(key)
    assert Keys(store, tmp_path).caller(*TSP, text) == key.caller


def test_a_key_is_known_by_the_whole_of_its_text_and_for_one_function(keys: Keys) -> None:
    key, text = keys.create(*TSP, "david", KeyLimits())
    keys.create("joe", "other", "david", KeyLimits())
    assert keys.caller(*TSP, text) == key.caller
    for wrong in (text[:-1], text + "x", text.lower(), "", key.digest, "david", "é"):
        assert keys.caller(*TSP, wrong) is None
    assert keys.caller("joe", "other", text) is None
    assert keys.caller("eve", "tsp", text) is None


def test_a_name_is_taken_once_for_each_function(keys: Keys) -> None:
    keys.create(*TSP, "david", KeyLimits())
    with pytest.raises(NameTaken, match="david"):
        keys.create(*TSP, "david", KeyLimits())
    keys.create("joe", "other", "david", KeyLimits())
    assert [key.name for key in keys.all(*TSP)] == ["david"]


def test_a_deleted_key_is_no_key_and_the_next_of_its_name_is_another(keys: Keys) -> None:
    first, text = keys.create(*TSP, "david", KeyLimits())
    assert keys.delete(*TSP, "david") == first
    assert keys.caller(*TSP, text) is None
    with pytest.raises(Unknown):
        keys.delete(*TSP, "david")
    second, other = keys.create(*TSP, "david", KeyLimits())
    assert second.id != first.id
    assert other != text


# ── Master keys ───────────────────────────────────────────────────────────────────────────────


def test_a_master_key_is_made_once_for_its_user_alone(keys: Keys, tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        keys.ensure_masters([TSP, ("joe", "other")])
    finally:
        os.umask(old)
    first = master_key(tmp_path, *TSP)
    keys.ensure_masters([TSP])
    path = tmp_path / "master-keys" / "joe" / "tsp"
    assert path.read_text() == f"{first}\n"
    assert re.fullmatch(r"master_[A-Za-z0-9]{48}", first or "")
    assert master_key(tmp_path, "joe", "other") != first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for folder in (path.parent, path.parent.parent):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert sorted(file.name for file in path.parent.iterdir()) == ["other", "tsp"]


def test_a_master_key_that_is_changed_or_removed_counts_at_once(keys: Keys, tmp_path: Path) -> None:
    first = keys.master(*TSP)
    path = tmp_path / "master-keys" / "joe" / "tsp"
    path.write_text("  of my own\n")
    assert keys.caller(*TSP, "of my own") == MASTER
    assert keys.caller(*TSP, first) is None
    path.unlink()
    assert keys.caller(*TSP, "of my own") is None
    assert master_key(tmp_path, *TSP) not in (None, first, "of my own")


def test_a_master_key_file_that_a_full_disk_left_empty_admits_nobody(
    keys: Keys, tmp_path: Path
) -> None:
    keys.master(*TSP)
    (tmp_path / "master-keys" / "joe" / "tsp").write_text("\n")
    assert master_key(tmp_path, *TSP) is None
    assert keys.caller(*TSP, "") is None
    assert re.fullmatch(r"master_[A-Za-z0-9]{48}", keys.master(*TSP))


@pytest.mark.parametrize(
    "name", [("..", "tsp"), ("joe", ".."), ("joe", "."), ("joe", "a/b"), ("joe", ""), ("", "tsp")]
)
def test_what_is_no_id_leads_to_no_file(keys: Keys, tmp_path: Path, name: tuple[str, str]) -> None:
    before = sorted(tmp_path.rglob("*"))
    assert master_key(tmp_path, *name) is None
    with pytest.raises(Unknown):
        keys.master(*name)
    assert sorted(tmp_path.rglob("*")) == before


def test_there_is_no_master_key_where_there_is_no_server(tmp_path: Path) -> None:
    assert master_key(tmp_path / "nowhere", *TSP) is None
    (tmp_path / "master-keys").write_text("a file")
    assert master_key(tmp_path, *TSP) is None


# ── Versions ──────────────────────────────────────────────────────────────────────────────────


def test_the_keys_of_an_older_store_stay(tmp_path: Path) -> None:
    store = Store(tmp_path)
    _, text = Keys(store, tmp_path).create(*TSP, "david", KeyLimits(max_executions=2))
    store.close()
    old = sqlite3.connect(tmp_path / "store.sqlite")
    old.execute("ALTER TABLE keys DROP COLUMN created")
    old.execute("ALTER TABLE executions DROP COLUMN limits")
    old.execute("ALTER TABLE executions DROP COLUMN engine")
    old.execute("PRAGMA user_version = 2")
    old.close()
    store = Store(tmp_path)
    keys = Keys(store, tmp_path)
    caller = keys.caller(*TSP, text)
    assert caller is not None
    assert caller.max_executions == 2
    assert keys.create(*TSP, "eve", KeyLimits())[0].created is not None
    store.close()
