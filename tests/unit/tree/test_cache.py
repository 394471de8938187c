"""Complete outputs on disk: found again, bounded, the least recently used going first."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pifopfs.tree.cache import OutputCache, cache_key
from pifopfs.wire import ExecutionId

E = ExecutionId("exec_1")


async def put(cache: OutputCache, output: str, content: bytes) -> None:
    spool(cache, output, content)
    await cache.settle(cache_key(E, output))


def spool(cache: OutputCache, output: str, content: bytes) -> None:
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
async def test_an_output_is_found_again_whatever_the_service_calls_it(
    tmp_path: Path, output: str
) -> None:
    await put(OutputCache(tmp_path, 1000), output, b"42")
    again = OutputCache(tmp_path, 1000)
    assert get(again, output) == b"42"
    assert again.size(cache_key(E, output)) == 2
    assert get(again, output + "x") is None


async def test_the_least_recently_used_goes_first(tmp_path: Path) -> None:
    cache = OutputCache(tmp_path, 30)
    for name in "abc":
        await put(cache, name, b"0123456789")
    get(cache, "a")
    await put(cache, "d", b"0123456789")
    assert [get(cache, name) is not None for name in "abcd"] == [True, False, True, True]


async def test_what_is_larger_than_the_cache_is_not_kept(tmp_path: Path) -> None:
    cache = OutputCache(tmp_path, 5)
    await put(cache, "a", b"0123456789")
    assert get(cache, "a") is None
    assert list((tmp_path / "complete").rglob("*-a")) == []


async def test_an_output_is_here_at_once_and_for_later_mounts_once_it_is_on_the_disk(
    tmp_path: Path,
) -> None:
    """A power cut could leave a file of the right length that is full of zeros."""
    cache = OutputCache(tmp_path, 1000)
    spool(cache, "a", b"42")
    assert get(cache, "a") == b"42"
    await cache.settle(cache_key(E, "a"))
    assert get(cache, "a") == b"42"
    assert get(OutputCache(tmp_path, 1000), "a") == b"42"


async def test_what_was_dropped_before_it_was_on_the_disk_stays_dropped(tmp_path: Path) -> None:
    cache = OutputCache(tmp_path, 1000)
    spool(cache, "a", b"42")
    cache.drop(cache_key(E, "a"))
    await cache.settle(cache_key(E, "a"))
    assert get(cache, "a") is None
    assert get(OutputCache(tmp_path, 1000), "a") is None


def test_unfinished_downloads_of_an_earlier_mount_are_removed(tmp_path: Path) -> None:
    handle, path = OutputCache(tmp_path, 5).spool("a")
    os.close(handle)
    OutputCache(tmp_path, 5)
    assert not path.exists()


async def test_the_outputs_of_an_execution_go_with_it(tmp_path: Path) -> None:
    cache = OutputCache(tmp_path, 1000)
    await put(cache, "a", b"1")
    cache.drop_execution(E)
    assert get(cache, "a") is None
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
