"""A TCP relay in a process of its own: it delays what passes, counts bytes, and can see requests.

`python -m tests.bench.relay DELAY TARGET`: DELAY is in seconds and each way; TARGET is a port of
this machine or the path of a Unix socket. It prints its own port. On each line that it reads it
prints what has passed so far, as JSON; it ends with its input.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen

import trio

from tests.bench.processes import module, read_line, started

PIECE = 1 << 18
IN_FLIGHT = 64
"""Pieces that are on their way; for more, the sender has to wait."""
REQUEST = re.compile(rb"(?:^|\r\n)(GET|HEAD|POST|DELETE) (\S+) HTTP/1\.1\r\n")


class Relay:
    """The relay as the bench sees it."""

    def __init__(self, process: Popen[str]) -> None:
        self._process = process
        self.port = int(read_line(process))

    def passed(self) -> Passed:
        """What has passed so far."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return Passed(**json.loads(read_line(self._process)))


@dataclass(slots=True)
class Passed:
    """What has passed a relay."""

    up: int = 0
    """Bytes to the service."""
    down: int = 0
    connections: int = 0
    requests: list[tuple[float, str, str]] = field(default_factory=list)
    """When (of the monotonic clock), method and target, where it was plain HTTP."""


@contextmanager
def open_relay(target: int | Path, delay: float = 0.0) -> Iterator[Relay]:
    """A relay that runs while the block does."""
    with started(module("relay", delay, target)) as process:
        yield Relay(process)


# ── Its process ──────────────────────────────────────────────────────────────────────────────────


async def _serve(delay: float, target: str) -> None:
    passed = Passed()

    async def connected(client: trio.SocketStream) -> None:
        passed.connections += 1
        service = await _connect(target)
        async with client, service, trio.open_nursery() as nursery:
            nursery.start_soon(_pass_on, client, service, delay, passed, True)
            nursery.start_soon(_pass_on, service, client, delay, passed, False)

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        print(listener.socket.getsockname()[1], flush=True)
        nursery.start_soon(trio.serve_listeners, connected, [listener])
        while await trio.to_thread.run_sync(sys.stdin.readline):
            document = {name: getattr(passed, name) for name in Passed.__slots__}
            print(json.dumps(document), flush=True)
        nursery.cancel_scope.cancel()


async def _connect(target: str) -> trio.SocketStream:
    if target.isdecimal():
        return await trio.open_tcp_stream("127.0.0.1", int(target))
    return await trio.open_unix_socket(target)


async def _pass_on(
    source: trio.SocketStream, sink: trio.SocketStream, delay: float, passed: Passed, up: bool
) -> None:
    """One direction, until its end, which is passed on, too."""
    put, taken = trio.open_memory_channel[tuple[float, bytes]](IN_FLIGHT)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_deliver, taken, sink)
        async with put:
            while piece := await _received(source):
                if up:
                    passed.up += len(piece)
                    found = REQUEST.findall(piece)
                    now = time.monotonic()
                    passed.requests += [(now, each[0].decode(), each[1].decode()) for each in found]
                else:
                    passed.down += len(piece)
                await put.send((trio.current_time() + delay, piece))


async def _received(source: trio.SocketStream) -> bytes:
    try:
        return bytes(await source.receive_some(PIECE))
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return b""


async def _deliver(
    taken: trio.MemoryReceiveChannel[tuple[float, bytes]], sink: trio.SocketStream
) -> None:
    async with taken:
        try:
            async for due, piece in taken:
                await trio.sleep_until(due)
                await sink.send_all(piece)
            await sink.send_eof()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            await sink.aclose()
            async for _ in taken:
                pass


if __name__ == "__main__":
    trio.run(_serve, float(sys.argv[1]), sys.argv[2])
