"""Clients and the end of an embedded server: none is taken in whom the end would throw out."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from pifopfs import errors
from pifopfs.machine import BUBBLEWRAP, try_lock
from pifopfs.server import sockets
from pifopfs.server.embedded import guest
from pifopfs.server.embedded.guest import Lease, end_embedded
from pifopfs.server.embedded.host import serve_folder
from pifopfs.server.embedded.manner import Manner
from pifopfs.server.embedded.place import END, GREETING, Place
from tests.functions import write_function

USUAL = Manner()


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
        if await stream.receive_some(100) == GREETING % b"bubblewrap":
            return stream
    await stream.aclose()
    return None


async def start(
    nursery: trio.Nursery, folder: Path, linger: float, manner: Manner = USUAL
) -> trio.Event:
    """A server; the event is set when it has ended."""
    over = trio.Event()

    async def serve(task_status: trio.TaskStatus[None]) -> None:
        ready: Callable[[], None] = task_status.started
        await serve_folder(folder, linger=linger, manner=manner, ready=ready)
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
        first = await greeted(place)
        assert first is not None
        await first.aclose()
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


async def test_regression_a_server_ended_before_its_first_client_came(
    place: Place, root: Path, nursery: trio.Nursery
) -> None:
    """On a busy machine that took longer than the server lingers: no mount ever came to be."""
    over = await start(nursery, root / "fn", linger=0.01)
    await trio.sleep(0.2)  # twenty times as long as it lingers
    stream = await greeted(place)
    assert stream is not None
    await stream.aclose()
    with trio.fail_after(10):
        await over.wait()


async def test_a_lease_that_is_told_to_end_is_closed_when_the_server_ends(
    place: Place, root: Path, nursery: trio.Nursery
) -> None:
    over = await start(nursery, root / "fn", linger=60)
    first, second = await greeted(place), await greeted(place)
    assert first is not None
    assert second is not None
    await second.send_all(END)
    with trio.fail_after(10):
        assert await first.receive_some(1) == b""
        await over.wait()
    assert not place.lease.exists()
    assert not place.http.exists()
    await first.aclose()
    await second.aclose()


@pytest.mark.parametrize("kinds", [(BUBBLEWRAP, "none"), ("none", BUBBLEWRAP)])
async def test_a_client_that_asks_for_another_isolation_is_refused_and_holds_nothing(
    place: Place, root: Path, nursery: trio.Nursery, kinds: tuple[str, str]
) -> None:
    runs, asked = kinds
    over = await start(nursery, root / "fn", linger=0.3, manner=Manner(runs))
    with pytest.raises(errors.ServerNotStarted, match=rf"--isolation {runs}: .*--stop-jobs"):
        await Lease(root / "fn", 60, 10, Manner(asked)).take()
    with trio.fail_after(10):
        await over.wait()


# ── Its sockets ───────────────────────────────────────────────────────────────────────────────


async def found(lease: Lease) -> None:
    """Take a lease as soon as the server is found, without starting one."""
    with trio.fail_after(10):
        await lease.take()


@pytest.fixture
def no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """No client starts a server; names are looked at often."""

    async def none(_: Lease) -> None:
        """It would find this one's lock."""

    monkeypatch.setattr(Lease, "_start", none)
    monkeypatch.setattr(sockets, "CHECK_INTERVAL", 0.02)


@pytest.mark.usefixtures("no_other")
async def test_regression_a_server_whose_runtime_folder_went_is_found_again(
    place: Place, root: Path, nursery: trio.Nursery
) -> None:
    """A logout removes it while something runs: no new mount could reach the server."""
    over = await start(nursery, root / "fn", linger=60)
    first = await greeted(place)
    assert first is not None
    shutil.rmtree(root / "run")
    lease = Lease(root / "fn", 60, 10, Manner())
    await found(lease)
    assert place.http.exists()
    assert place.http.parent.stat().st_mode & 0o077 == 0
    await lease.aclose()
    await first.send_all(END)
    with trio.fail_after(10):
        await over.wait()
    await first.aclose()


@pytest.mark.usefixtures("no_other")
async def test_a_server_whose_runtime_folder_cannot_be_made_anew_listens_beside_its_store(
    place: Place, root: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = await start(nursery, root / "fn", linger=60)
    shutil.rmtree(root / "run")
    (root / "run").touch()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(root / "another"))
    lease = Lease(root / "fn", 60, 10, Manner())
    await found(lease)
    async with await trio.open_unix_socket(lease.endpoint.removeprefix("unix:")) as stream:
        await stream.send_all(b"GET /local/fn HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await stream.receive_some(1000)).startswith(b"HTTP/1.1 200")
    await lease.aclose()
    with trio.fail_after(10):
        await end_embedded_here(root / "fn", monkeypatch)
        await over.wait()
    assert not any(path.is_socket() for path in place.store.iterdir())


async def end_embedded_here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`end_embedded`, which here would wait for the end of its own process."""

    async def dead(_: int) -> None:
        """It is."""

    monkeypatch.setattr(guest, "_until_dead", dead)
    await end_embedded(folder)


@pytest.mark.usefixtures("no_other")
async def test_a_client_with_another_runtime_folder_finds_the_server(
    place: Place, root: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = await start(nursery, root / "fn", linger=0.01)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(root / "another"))
    async with Lease(root / "fn", 60, 10, Manner()) as lease:
        await found(lease)
    with trio.fail_after(10):
        await over.wait()


async def test_a_link_that_is_too_long_for_the_kernel_is_followed(
    place: Place, root: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / ("x" * 100)).mkdir()
    monkeypatch.setenv("XDG_STATE_HOME", str(root / ("x" * 100)))
    monkeypatch.setattr(sockets, "CHECK_INTERVAL", 0.02)
    over = await start(nursery, root / "fn", linger=0.01)
    async with Lease(root / "fn", 60, 10, Manner()) as lease:
        await found(lease)
        assert lease.endpoint == f"unix:{place.http}"
    with trio.fail_after(10):
        await over.wait()


@pytest.mark.usefixtures("no_other")
async def test_regression_a_server_that_cannot_be_reached_is_named(
    place: Place, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.store.mkdir(parents=True)
    lock = try_lock(place.store / "lock")
    assert lock is not None
    os.write(lock, b"123       \n")
    monkeypatch.setattr(guest, "END_TIMEOUT", 0.1)
    words = rf"a server of {root}/fn runs \(process 123\) but cannot be reached; .*kill 123"
    with pytest.raises(errors.ServerNotStarted, match=words):
        await Lease(root / "fn", 60, 0.1, BUBBLEWRAP).take()
    with pytest.raises(errors.ServerNotStarted, match=words):
        await end_embedded(root / "fn")
    os.close(lock)
    with pytest.raises(errors.ServerNotStarted, match="was not ready within"):
        await Lease(root / "fn", 60, 0.1, BUBBLEWRAP).take()
    await end_embedded(root / "fn")
