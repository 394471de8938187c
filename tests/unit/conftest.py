"""What tests of the configuration share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pifopfs.config import files

Write = Callable[[str], Path]


@pytest.fixture
def config_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folders of configuration files are below it: `config/pifopfs` and `etc`."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(files, "SYSTEM_FOLDER", tmp_path / "etc")
    (tmp_path / "config" / "pifopfs").mkdir(parents=True)
    (tmp_path / "etc").mkdir()
    return tmp_path


@pytest.fixture
def user_file(config_home: Path) -> Write:
    """Writes the user's file."""
    return writer(config_home / "config" / "pifopfs" / "config.toml")


@pytest.fixture
def system_file(config_home: Path) -> Write:
    """Writes the system's file."""
    return writer(config_home / "etc" / "config.toml")


def writer(path: Path) -> Write:
    def write(text: str) -> Path:
        path.write_text(text)
        return path

    return write
