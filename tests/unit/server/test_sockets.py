"""Names of sockets: what is removed for them, and that they are put back."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
import trio

from pifopfs import errors
from pifopfs.server import sockets
from pifopfs.server.sockets import accept, bind


def test_regression_a_file_in_the_place_of_a_socket_is_kept(root: Path) -> None:
    """`serve --socket FILE` removed it."""
    (root / "precious").write_text("precious")
    with pytest.raises(errors.ServerNotStarted, match=r"precious is not a socket; remove it"):
        bind(root / "precious")
    assert (root / "precious").read_text() == "precious"
    (root / "link").symlink_to(root / "precious")
    with pytest.raises(errors.ServerNotStarted, match="is not a socket"):
        bind(root / "link")


def test_the_socket_of_a_server_that_died_is_replaced_and_that_of_another_is_not(
    root: Path,
) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(root / "s"))
    first = bind(root / "s")
    assert first.path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(errors.ServerNotStarted, match="another server listens"):
        bind(root / "s")
    first.listener.close()


def test_only_its_own_name_is_removed(root: Path) -> None:
    first = bind(root / "s")
    (root / "s").unlink()
    second = bind(root / "s")
    assert (first.there, second.there) == (False, True)
    first.remove()
    assert second.there
    second.remove()
    assert not (root / "s").exists()
    first.listener.close()
    second.listener.close()


async def test_a_name_that_vanishes_is_put_back_and_connections_go_on(
    root: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "CHECK_INTERVAL", 0.02)

    async def echo(stream: trio.SocketStream) -> None:
        async for piece in stream:
            await stream.send_all(piece)

    path, first, again = root / "run" / "s", trio.Event(), trio.Event()
    path.parent.mkdir()

    def told(_: Path) -> None:
        (again if first.is_set() else first).set()

    await nursery.start(accept, [path], echo, nursery, told)
    stream = await trio.open_unix_socket(str(path))
    path.unlink()
    path.parent.rmdir()
    with trio.fail_after(10):
        await again.wait()
        for each in (stream, await trio.open_unix_socket(str(path))):
            await each.send_all(b"x")
            assert await each.receive_some(1) == b"x"
            await each.aclose()
