"""What every kind of test uses."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pifopfs.server.removal import remove
from tests.fakeservice import FakeService


@pytest.fixture
def root() -> Iterator[Path]:
    """A short temporary folder: the paths of sockets have a limit."""
    folder = Path(tempfile.mkdtemp(prefix="pf-", dir="/tmp"))
    yield folder
    remove(folder)  # its programs may have closed some of it


@pytest.fixture
def service(root: Path) -> Iterator[FakeService]:
    """The fake service, up."""
    with FakeService(root / "s.sock") as fake:
        yield fake
