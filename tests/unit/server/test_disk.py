"""What a run keeps on disk, whatever it has made of its folder."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from pifopfs.server.disk import DEEPEST, LEAST, TooDeep, used


def test_bytes_are_counted_once_and_holes_not(tmp_path: Path) -> None:
    (tmp_path / "full").write_bytes(b"x" * 1_000_000)
    os.link(tmp_path / "full", tmp_path / "again")
    os.truncate(tmp_path / "full", 1_000_000)
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    assert 1_000_000 <= used(tmp_path) < 1_100_000


def test_what_is_empty_counts_as_little(tmp_path: Path) -> None:
    for number in range(50):
        (tmp_path / f"{number}").touch()
    assert used(tmp_path) == 50 * LEAST


def test_links_lead_nowhere(tmp_path: Path) -> None:
    (tmp_path / "etc").symlink_to("/usr")
    (tmp_path / "loop").symlink_to(".")
    os.mkfifo(tmp_path / "fifo")
    assert used(tmp_path) == 3 * LEAST


def test_folders_that_are_too_deep(tmp_path: Path) -> None:
    deepest = tmp_path.joinpath(*["d"] * DEEPEST)
    deepest.mkdir(parents=True)
    assert used(tmp_path) >= DEEPEST * LEAST
    (deepest / "d").mkdir()
    with pytest.raises(TooDeep):
        used(tmp_path)


def test_the_count_can_be_ended(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()

    def enough(_: int) -> None:
        raise KeyError

    with pytest.raises(KeyError):
        used(tmp_path, enough)


@pytest.mark.skipif(os.getuid() == 0, reason="root enters any folder")
@pytest.mark.parametrize("mode", [0, 0o400, 0o100, 0o444])
def test_regression_a_closed_folder_hides_nothing_and_stays_closed(
    tmp_path: Path, mode: int
) -> None:
    """It was closed again before what is in it had been looked at."""
    closed = tmp_path / "top" / "d"
    (closed / "e").mkdir(parents=True)
    (closed / "e" / "x").write_bytes(b"x" * 100_000)
    for folder in (closed / "e", closed, tmp_path / "top"):
        folder.chmod(mode)
    assert used(tmp_path / "top") > 100_000
    assert stat.S_IMODE((tmp_path / "top").stat().st_mode) == mode
