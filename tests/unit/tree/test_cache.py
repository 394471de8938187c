"""Complete outputs on disk: found again, bounded, the least recently used going first."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pifopfs.tree.cache import OutputCache, cache_key
from pifopfs.wire import ExecutionId

E = ExecutionId("exec_1")


def put(cache: OutputCache, output: str, content: bytes) -> None:
    handle, path = cache.spool(output)
    os.write(handle, content)
    os.close(handle)
    cache.complete(cache_key(E, output), path, len(content))


def get(cache: OutputCache, output: str) -> bytes | None:
    opened = cache.open(cache_key(E, output))
    if opened is None:
        return None
    with os.fdopen(opened[0], "rb") as file:
        return file.read()


@pytest.mark.parametrize("output", ["r", "a/b", "..", "", "界" * 80, "x" * 255, "\ud800", "a\0b"])
def test_an_output_is_found_again_whatever_the_service_calls_it(
    tmp_path: Path, output: str
) -> None:
    put(OutputCache(tmp_path, 1000), output, b"42")
    again = OutputCache(tmp_path, 1000)
    assert get(again, output) == b"42"
    assert again.size(cache_key(E, output)) == 2
    assert get(again, output + "x") is None


def test_the_least_recently_used_goes_first(tmp_path: Path) -> None:
    cache = OutputCache(tmp_path, 30)
    for name in "abc":
        put(cache, name, b"0123456789")
    get(cache, "a")
    put(cache, "d", b"0123456789")
    assert [get(cache, name) is not None for name in "abcd"] == [True, False, True, True]


def test_what_is_larger_than_the_cache_is_not_kept(tmp_path: Path) -> None:
    cache = OutputCache(tmp_path, 5)
    put(cache, "a", b"0123456789")
    assert get(cache, "a") is None
    assert list((tmp_path / "complete").rglob("*-a")) == []


def test_unfinished_downloads_of_an_earlier_mount_are_removed(tmp_path: Path) -> None:
    handle, path = OutputCache(tmp_path, 5).spool("a")
    os.close(handle)
    OutputCache(tmp_path, 5)
    assert not path.exists()


def test_the_outputs_of_an_execution_go_with_it(tmp_path: Path) -> None:
    cache = OutputCache(tmp_path, 1000)
    put(cache, "a", b"1")
    cache.drop_execution(E)
    assert get(cache, "a") is None
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
