"""The files of a run: what is copied, what is left out, and what is an output."""

from __future__ import annotations

import errno
import os
import resource
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pifopfs.machine import Mounted
from pifopfs.server import copying
from pifopfs.server.copying import copy_folder
from pifopfs.server.function_file import load_function
from pifopfs.server.removal import remove
from pifopfs.server.workspace import open_output, prepare, produced
from pifopfs.wire import FileSpec


def wanted() -> None:
    """The copy is."""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "fn"
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "b" / "file").write_text("content")
    (folder / "a" / "run").write_text("#!/bin/sh")
    (folder / "a" / "run").chmod(0o555)
    (folder / "link").symlink_to("a/b/file")
    (folder / "executions").mkdir()
    os.mkfifo(folder / "pipe")
    (folder / "a").chmod(0o500)
    return folder


@pytest.fixture
def copy(source: Path, tmp_path: Path) -> Callable[..., Path]:
    """Copies it."""

    def make(still_wanted: Callable[[], None] = wanted) -> Path:
        copy_folder(source, tmp_path / "work", source / "executions", still_wanted)
        return tmp_path / "work"

    return make


def test_a_copy_is_as_the_original_but_writable(source: Path, copy: Callable[..., Path]) -> None:
    os.utime(source / "a" / "b" / "file", (1000, 2000))
    work = copy()
    assert {path.name for path in work.iterdir()} == {"a", "link"}
    assert (work / "link").readlink() == Path("a/b/file")
    assert (work / "link").read_text() == "content"
    assert (work / "a" / "b" / "file").stat().st_mtime == 2000
    assert stat.S_IMODE((work / "a" / "run").stat().st_mode) == 0o755
    assert stat.S_IMODE((work / "a").stat().st_mode) == 0o700


def test_regression_a_folder_of_any_depth_is_copied(
    source: Path, copy: Callable[..., Path]
) -> None:
    folder = source
    for _ in range(1100):
        folder /= "d"
        folder.mkdir()
    work = copy()
    assert (work / "/".join("d" * 1100)).is_dir()
    for deep in (source, work):
        remove(deep)  # pytest could not


def test_regression_what_vanishes_while_it_is_copied_is_left_out(
    source: Path, copy: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One such file failed the run."""
    entries = copying._entries
    monkeypatch.setattr(copying, "_entries", lambda here: [here / "gone", *entries(here)])
    assert (copy() / "a" / "b" / "file").exists()


@pytest.mark.parametrize("code", [errno.ENOTCONN, errno.EIO, errno.EACCES])
def test_regression_a_mount_below_is_not_touched(
    source: Path, copy: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """A dead one failed every run of the function."""
    (source / "mnt").mkdir()
    lstat = Path.lstat

    def dead(path: Path) -> os.stat_result:
        if path.name == "mnt":
            raise OSError(code, os.strerror(code))
        return lstat(path)

    mounted = [Mounted(path, "fuse", "x") for path in (Path("/"), source / "mnt")]
    monkeypatch.setattr(copying, "mounts", lambda: mounted)
    monkeypatch.setattr(Path, "lstat", dead)
    assert not os.path.lexists(copy() / "mnt")


def test_what_cannot_be_read_fails_the_copy(
    copy: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(*_: object) -> None:
        raise PermissionError(errno.EACCES, "no")

    monkeypatch.setattr(copying._Copy, "_copy_file", unreadable)
    with pytest.raises(PermissionError):
        copy()


def test_regression_a_copy_that_is_no_longer_wanted_ends_within_a_file(
    source: Path, copy: Callable[..., Path]
) -> None:
    class Enough(Exception):
        pass

    (source / "big").write_bytes(bytes(20 * copying.PIECE))
    asked = 0

    def enough() -> None:
        nonlocal asked
        asked += 1
        if asked > 12:
            raise Enough

    with pytest.raises(Enough):
        copy(enough)


def test_regression_too_many_open_files_are_not_an_output_that_was_not_produced(
    tmp_path: Path,
) -> None:
    """A run then had no outputs for good."""
    spec = FileSpec("r", "d/r.txt")
    (tmp_path / "work" / "d").mkdir(parents=True)
    (tmp_path / "work" / "d" / "r.txt").touch()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            produced([spec], tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert produced([spec], tmp_path) == (replace(spec, size=0),)
    assert open_output(tmp_path, FileSpec("r", "d/r.txt/x")) is None
    assert open_output(tmp_path, FileSpec("r", "nothing/r.txt")) is None


def test_what_a_server_has_left_half_prepared_is_gone_on_with(source: Path, tmp_path: Path) -> None:
    (source / "y.txt").write_text("the function's own")
    (source / "function.json").write_text(
        '{"id": "f", "command": ["true"], "input": [{"id": "x"}, {"id": "y", "path": "y.txt"}],'
        ' "output": [{"id": "x"}]}'
    )
    folder = tmp_path / "execution"
    (folder / "inputs").mkdir(parents=True)
    for name in ("x", "y"):
        (folder / "inputs" / name).write_text(f"uploaded {name}")
    (folder / "copy").mkdir()
    (folder / "copy" / "half").write_text("of a copy")
    function = load_function(source)
    prepare(function, folder, wanted, None)
    (folder / "work" / "y.txt").rename(folder / "inputs" / "y")  # killed between the two
    prepare(function, folder, wanted, None)
    assert (folder / "work" / "x").read_text() == "uploaded x"
    assert (folder / "work" / "y.txt").read_text() == "uploaded y"
    assert not (folder / "work" / "half").exists()
    assert not (folder / "copy").exists()
