"""One rig for all tests of a process."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pifopfs.server.removal import remove
from tests.faults.rig import Rig, rigged


@pytest.fixture(scope="session")
def shared_rig() -> Iterator[Rig]:
    """The rig, set up once."""
    folder = Path(tempfile.mkdtemp(prefix="pf-", dir="/tmp"))
    with rigged(folder) as rig:
        yield rig
    remove(folder)


@pytest.fixture
def rig(shared_rig: Rig) -> Iterator[Rig]:
    """The rig, healed after the test."""
    yield shared_rig
    shared_rig.heal()
