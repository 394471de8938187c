"""Connections: what of their failures is worth a line in the log, and errors without a body."""

from __future__ import annotations

import logging

import pytest
import trio
from starlette.applications import Starlette

from pifopfs.server import http
from pifopfs.server.http import with_body

EXPECTED = [trio.BrokenResourceError(), trio.ClosedResourceError(), trio.BusyResourceError()]


@pytest.mark.parametrize("failure", [*EXPECTED, ExceptionGroup("two", EXPECTED), OSError("odd")])
async def test_regression_only_an_unexpected_failure_of_a_connection_is_a_warning(
    failure: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: object) -> None:
        raise failure

    monkeypatch.setattr(http, "TCPServer", broken)
    ours, theirs = trio.socket.socketpair()
    with ours, theirs, caplog.at_level(logging.DEBUG, "pifopfs"):
        await http._Connections(Starlette()).serve(trio.SocketStream(ours))
    (record,) = caplog.records
    assert record.levelno == (logging.WARNING if type(failure) is OSError else logging.DEBUG)


def test_only_an_error_without_a_body_gets_one() -> None:
    for data in [
        b"HTTP/1.1 200 \r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 404 \r\ncontent-length: 20\r\n\r\n",
        b"HTTP/1.1 4",
        b"",
    ]:
        assert with_body(data) == data
    head, _, body = with_body(b"HTTP/1.1 431 \r\ncontent-length: 0\r\nx: y\r\n\r\n").partition(
        b"\r\n\r\n"
    )
    assert head.startswith(b"HTTP/1.1 431 \r\n")
    assert b"\r\ncontent-type: application/json\r\n" in head
    assert b"\r\naccess-control-allow-origin: *\r\n" in head
    assert f"content-length: {len(body)}\r\n".encode() in head
    assert b"Request Header Fields Too Large" in body
