"""A server's starter, made before it is known whether there will be a server."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from pifopfs.errors import ServerNotStarted
from pifopfs.machine import NONE
from pifopfs.server.embedded import starter
from pifopfs.server.embedded.guest import Lease, end_embedded
from pifopfs.server.embedded.manner import Manner
from pifopfs.server.embedded.place import Place
from tests.functions import write_function


@pytest.fixture
def folder(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A function's folder, whose server is below `root`."""
    for name, part in {"XDG_STATE_HOME": "state", "XDG_RUNTIME_DIR": "run"}.items():
        (root / part).mkdir(mode=0o700)
        monkeypatch.setenv(name, str(root / part))
    return write_function(root / "fn").resolve()


def test_a_starter_that_is_told_nothing_ends_without_a_trace(folder: Path) -> None:
    assert starter.prepare(folder) is not None
    started = starter.take(folder)
    started.connection.close()
    assert started.process.wait(20) == 0
    assert not Place.of(folder).store.exists()


async def test_the_server_that_was_prepared_is_the_one_that_serves(folder: Path) -> None:
    assert starter.prepare(folder) is not None
    async with Lease(folder, 60, 20, Manner()) as lease:
        await lease.take()
        assert starter.prepare(folder) is None  # there is one now
    await end_embedded(folder)


async def test_what_keeps_a_prepared_server_from_starting_is_told(folder: Path) -> None:
    assert starter.prepare(folder) is not None
    Place.of(folder).store.parent.mkdir(parents=True)
    Place.of(folder).store.write_text("no folder")
    with trio.fail_after(30), pytest.raises(ServerNotStarted, match=r"did not start: .*folder"):
        await Lease(folder, 60, 20, Manner(NONE)).take()


def test_a_starter_knows_no_key(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIFOPFS_API_KEY", "secret-key")
    starter.prepare(folder)
    started = starter.take(folder)
    with started.connection:
        environ = Path(f"/proc/{started.process.pid}/environ").read_bytes()
        assert b"secret-key" not in environ
    started.process.wait(20)
