"""Paths of mountpoints."""

from __future__ import annotations

from pathlib import Path

from pifopfs.mount.mountpoint import real_mountpoint


def test_links_are_followed_also_in_the_last_component(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "one").symlink_to("real")
    (tmp_path / "two").symlink_to(tmp_path / "one")
    (tmp_path / "folder").symlink_to(".")
    for path in ("real", "one", "two", "folder/two"):
        expected = tmp_path.resolve() / "real"
        assert real_mountpoint(tmp_path / path).resolve() == expected
    assert real_mountpoint(tmp_path / "two") == tmp_path.resolve() / "real"


def test_links_in_a_circle_and_names_that_are_not_there_end(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert real_mountpoint(tmp_path / "a").parent == tmp_path.resolve()
    assert real_mountpoint(tmp_path / "none") == tmp_path.resolve() / "none"
    assert real_mountpoint(Path("/")) == Path("/")
