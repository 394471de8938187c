"""Folders removed, whatever a program has made in them."""

from __future__ import annotations

import logging
import os
import resource
from pathlib import Path

import pytest

from pifopfs.server.removal import remove


def dig(folder: Path, depth: int) -> None:
    """Make folders within folders, deeper than a path can be long."""
    folder.mkdir()
    here = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=here))
        os.mkdir("d" * 20, dir_fd=here)
        below = os.open("d" * 20, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)


def test_regression_a_folder_of_any_depth_is_removed_with_few_descriptors(tmp_path: Path) -> None:
    """1,200 folders within each other kept the server from ever starting again."""
    dig(tmp_path / "deep", 1500)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 200), hard))
    try:
        remove(tmp_path / "deep")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_permissions_is_removed_and_what_links_lead_to_stays(
    tmp_path: Path,
) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").touch()
    below = tmp_path / "top" / "a" / "b"
    below.mkdir(parents=True)
    (below / "link").symlink_to(tmp_path / "precious")
    os.mkfifo(below / "pipe")
    for folder in (below, below.parent, below.parent.parent):
        folder.chmod(0)
    remove(tmp_path / "top")
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]
    assert (tmp_path / "precious" / "file").exists()


def test_what_resists_is_told_and_all_else_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a", "stays", "z"):
        (tmp_path / "top" / name).mkdir(parents=True)
        (tmp_path / "top" / name / "file").touch()
    rmdir = os.rmdir

    def refusing(path: str, *, dir_fd: int | None = None) -> None:
        if path == "stays":
            raise PermissionError(13, "no", path)
        rmdir(path, dir_fd=dir_fd)

    monkeypatch.setattr(os, "rmdir", refusing)
    with caplog.at_level(logging.WARNING):
        remove(tmp_path / "top")
    assert [path.name for path in (tmp_path / "top").iterdir()] == ["stays"]
    assert "cannot be removed" in caplog.text


def test_files_and_what_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path)
    for name in ("file", "link", "nothing"):
        remove(tmp_path / name)
    assert list(tmp_path.iterdir()) == []
