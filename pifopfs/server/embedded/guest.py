"""The client's side: join the server of a folder, start it where there is none, end it."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import struct
from pathlib import Path

import trio

from pifopfs.errors import OptionInvalid, ServerNotStarted
from pifopfs.server.embedded import starter
from pifopfs.server.embedded.manner import Manner
from pifopfs.server.embedded.place import END, GREETING, LONGEST_GREETING, Place
from pifopfs.server.engines.finding import check_name
from pifopfs.server.function_file import load_function
from pifopfs.server.locks import holder

log = logging.getLogger(__name__)

PAUSE = 0.05
"""Seconds between looks at a server that starts or ends."""
RESTART_PAUSE = 5.0
"""Seconds between attempts to start a server again that died."""
END_TIMEOUT = 20.0
TAKEN = 7
"""The exit code of a server that found another one at its place."""
OPTION_INVALID = 2
"""That of one which was told to start in a manner that there is not."""
GREETING_PIECE = 4096


class Lease:
    """A folder's server, which stays up while this is held. Use it as an async context manager."""

    def __init__(self, folder: Path, linger: float, deadline: float, manner: Manner) -> None:
        self.function = load_function(folder).name
        """AUTHOR/ID."""
        self._folder = folder
        self._place = Place.of(folder)
        self._linger = linger
        self._deadline = deadline
        self._manner = manner
        self._stream: trio.SocketStream | None = None

    @property
    def endpoint(self) -> str:
        """Where its REST API is."""
        return f"unix:{self._place.http_address}"

    async def keep(self) -> None:
        """For ever: start the server again where it has died."""
        while True:
            if self._stream is not None:
                await _until_closed(self._stream)
                log.warning("the server of %s has ended: starting it again", self._folder)
                await self.aclose()
            try:
                await self.take()
            except (ServerNotStarted, OptionInvalid) as error:
                log.error("%s", error)  # noqa: TRY400  # not a bug
                await trio.sleep(RESTART_PAUSE)

    async def take(self) -> None:
        """Join the server, or start it. Raises ServerNotStarted, OptionInvalid."""
        with trio.move_on_after(self._deadline):
            while True:
                answered = await _knock(self._place)
                if answered is not None:
                    self._stream = await self._accepted(*answered)
                    return
                await self._start()
                await trio.sleep(PAUSE)
        raise _unreachable(self._folder, self._place) or ServerNotStarted(
            f"the server of {self._folder} was not ready within {self._deadline:g} s; "
            f"see {self._place.log_file}"
        )

    async def _accepted(self, stream: trio.SocketStream, manner: Manner) -> trio.SocketStream:
        """Raises ServerNotStarted where the server is not of the kind that is asked for."""
        if manner == self._manner:
            return stream
        await stream.aclose()
        raise ServerNotStarted(
            f"the server of {self._folder} runs with {manner.beside(self._manner)}: mount with "
            "that, or end it first (pifopfs umount --stop-jobs on its mount)"
        )

    async def _start(self) -> None:
        """Start a server; return when it is ready, or has found another one there."""
        settings = {"linger": self._linger, **self._manner.document()}
        said = await _told(starter.take(self._folder), json.dumps(settings).encode() + b"\n")
        try:
            outcome = json.loads(said.strip().rpartition(b"\n")[2])
            code, message = outcome["exit_code"], outcome["message"]
        except (ValueError, TypeError, KeyError):  # it has died, maybe with words
            words = said.decode("utf-8", "replace").strip()
            code, message = None, words.removeprefix("pifopfs: ")
        if code == OPTION_INVALID:
            raise OptionInvalid(message)
        if code not in (0, TAKEN):
            raise ServerNotStarted(
                f"the server of {self._folder} did not start: {message or 'it died'}"
            )

    async def __aenter__(self) -> Lease:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Let go of the server."""
        if self._stream is not None:
            await self._stream.aclose()
            self._stream = None


async def join_or_start(folder: Path, *, linger: float, deadline: float, manner: Manner) -> Lease:
    """Hold the server of a folder. `linger` is how long a new one outlives its last use, in
    seconds, `deadline` how long it may take to be ready.

    Raises FunctionFileInvalid, ServerNotStarted, OptionInvalid.
    """
    check_name(manner.engine)
    lease = Lease(folder, linger, deadline, manner)
    await lease.take()
    return lease


async def end_embedded(folder: Path) -> None:
    """End the server of a folder, and all that runs on it; success where there is none.

    Raises ServerNotStarted where it does not end.
    """
    place = Place.of(folder)
    answered = await _knock(place)
    if answered is None:
        await _until_unlocked(folder, place)
        return
    stream, _ = answered
    async with stream:
        server = _peer(stream)
        with trio.move_on_after(END_TIMEOUT):
            await stream.send_all(END)
            await _until_closed(stream)
            await _until_dead(server)
            return
    raise ServerNotStarted(f"the server of {folder} does not end; see {place.log_file}")


async def _told(starting: starter.Starter, settings: bytes) -> bytes:
    """Have a starter start the server; what it says at its end."""
    said = b""
    async with trio.SocketStream(trio.socket.from_stdlib_socket(starting.connection)) as stream:
        with contextlib.suppress(trio.BrokenResourceError):  # it has died: what it said is here
            await stream.send_all(settings)
        with contextlib.suppress(trio.BrokenResourceError):
            async for piece in stream:
                said += piece
    await trio.to_thread.run_sync(starting.process.wait)
    return said


def _peer(stream: trio.SocketStream) -> int:
    """The process at the other end."""
    credentials = stream.socket.getsockopt(
        socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")
    )
    return int(struct.unpack("3i", credentials)[0])


async def _until_dead(pid: int) -> None:
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        await trio.lowlevel.wait_readable(handle)
    finally:
        os.close(handle)


async def _until_unlocked(folder: Path, place: Place) -> None:
    """Return when no server has the folder: one that is ending lets go of its sockets first.

    Raises ServerNotStarted where one has it for long.
    """
    with trio.move_on_after(END_TIMEOUT):
        while _unreachable(folder, place):  # noqa: ASYNC110  # a lock has no event
            await trio.sleep(PAUSE)
    error = _unreachable(folder, place)
    if error is not None:
        raise error


def _unreachable(folder: Path, place: Place) -> ServerNotStarted | None:
    """The error of a server that is there but takes no client; None where there is no server."""
    try:
        pid = holder(place.store)
    except OSError:
        return None
    if pid is None:
        return None
    return ServerNotStarted(
        f"a server of {folder} runs (process {pid or 'unknown'}) but cannot be reached; end it"
        f"{f': kill {pid}' if pid else ''}, see {place.log_file}"
    )


async def _knock(place: Place) -> tuple[trio.SocketStream, Manner] | None:
    """A connection that the server has taken, and its manner; None where there is no server."""
    for path in (place.lease_address, place.lease):
        answered = await _connect(path)
        if answered is not None:
            return answered
    return None


async def _connect(path: Path) -> tuple[trio.SocketStream, Manner] | None:
    try:
        stream = await trio.open_unix_socket(os.fspath(path))
    except OSError:
        return None
    begin, end = GREETING.split(b"%b")
    greeting = await _line(stream)
    if greeting.startswith(begin) and greeting.endswith(end):
        with contextlib.suppress(ValueError):
            told = greeting.removeprefix(begin).removesuffix(end).decode()
            return stream, Manner.told(told)
    await stream.aclose()
    return None


async def _line(stream: trio.SocketStream) -> bytes:
    """What the server says first."""
    line = b""
    with contextlib.suppress(trio.BrokenResourceError):
        while not line.endswith(b"\n") and len(line) < LONGEST_GREETING:
            piece = await stream.receive_some(GREETING_PIECE)
            if not piece:
                break
            line += piece
    return line


async def _until_closed(stream: trio.SocketStream) -> None:
    try:
        while await stream.receive_some(1):
            pass
    except trio.BrokenResourceError:
        return
