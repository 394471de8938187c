"""Clients and the end of an embedded server: none is taken in whom the end would throw out."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from pifopfs.server.embedded import Place, host, serve_folder
from tests.functions import write_function


@pytest.fixture
def place(root: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """The place of a folder, below `root`."""
    for name, folder in {"XDG_STATE_HOME": "state", "XDG_RUNTIME_DIR": "run"}.items():
        (root / folder).mkdir(mode=0o700)
        monkeypatch.setenv(name, str(root / folder))
    return Place.of(write_function(root / "fn"))


async def greeted(place: Place) -> trio.SocketStream | None:
    """A lease, None where the server takes no client."""
    try:
        stream = await trio.open_unix_socket(str(place.lease))
    except OSError:
        return None
    with contextlib.suppress(trio.BrokenResourceError):
        if await stream.receive_some(100) == host.GREETING:
            return stream
    await stream.aclose()
    return None


async def start(nursery: trio.Nursery, folder: Path, linger: float) -> trio.Event:
    """A server; the event is set when it has ended."""
    over = trio.Event()

    async def serve(task_status: trio.TaskStatus[None]) -> None:
        ready: Callable[[], None] = task_status.started
        await serve_folder(folder, linger=linger, ready=ready)
        over.set()

    await nursery.start(serve)
    return over


async def test_regression_a_client_at_the_last_moment_is_held_or_refused(
    place: Place, root: Path, nursery: trio.Nursery
) -> None:
    """A client was greeted while the server was ending, and lost what it had been promised."""
    held = refused = 0
    for attempt in range(60):
        over = await start(nursery, root / "fn", linger=0.01)
        await trio.sleep(0.005 + attempt % 20 * 0.0005)
        stream = await greeted(place)
        if stream is None:
            refused += 1
        else:
            held += 1
            await trio.sleep(0.03)
            assert not over.is_set()
            assert place.http.exists()
            await stream.aclose()
        with trio.fail_after(10):
            await over.wait()
    assert held
    assert refused + held == 60


async def test_a_lease_that_is_told_to_end_is_closed_when_the_server_ends(
    place: Place, root: Path, nursery: trio.Nursery
) -> None:
    over = await start(nursery, root / "fn", linger=60)
    first, second = await greeted(place), await greeted(place)
    assert first is not None
    assert second is not None
    await second.send_all(host.END)
    with trio.fail_after(10):
        assert await first.receive_some(1) == b""
        await over.wait()
    assert not place.lease.exists()
    assert not place.http.exists()
    await first.aclose()
    await second.aclose()
