"""Connections over plain non-blocking sockets, TLS included, for httpcore.

The streams of trio hand TLS over record by record through buffers in memory; OpenSSL on the socket
itself takes half the time, and a large body is read here by the megabyte.
"""

from __future__ import annotations

import select
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import httpcore
import trio

T = TypeVar("T")
SENT_AT_ONCE = 256 << 10
"""Bytes; a link that takes longer than the stall deadline for them counts as stuck."""
NOT_YET = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Backend(httpcore.AsyncNetworkBackend):
    """Makes connections. Raises ConnectError and ConnectTimeout of httpcore."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        with _bounded(timeout, httpcore.ConnectTimeout, httpcore.ConnectError):
            stream = await trio.open_tcp_stream(host, port, local_address=local_address)
            return _adopted(stream, socket_options)

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        with _bounded(timeout, httpcore.ConnectTimeout, httpcore.ConnectError):
            return _adopted(await trio.open_unix_socket(path), socket_options)

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)


class Stream(httpcore.AsyncNetworkStream):
    """One connection. Raises the errors of httpcore for reading and writing."""

    def __init__(self, connection: socket.socket) -> None:
        """`connection` does not block."""
        self._socket = connection

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Some bytes, none at the end."""
        with _bounded(timeout, httpcore.ReadTimeout, httpcore.ReadError):
            return await self._when_ready(partial(self._socket.recv, max_bytes), reading=True)

    async def read_into(self, buffer: memoryview, timeout: float | None = None) -> int:
        """Take what has come, as much as the buffer holds; 0 at the end."""
        with _bounded(timeout, httpcore.ReadTimeout, httpcore.ReadError):
            return await self._when_ready(partial(self._fill, buffer), reading=True)

    def _fill(self, buffer: memoryview) -> int:
        filled, receive = 0, self._socket.recv_into
        try:
            while filled < len(buffer) and (count := receive(buffer[filled:])):
                filled += count
        except NOT_YET:
            if not filled:
                raise
        return filled

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """All of the buffer; `timeout` is for every part that is taken."""
        rest = memoryview(buffer)
        while rest:
            with _bounded(timeout, httpcore.WriteTimeout, httpcore.WriteError):
                sent = await self._when_ready(partial(self._push, rest), reading=False)
                rest = rest[sent:]

    def _push(self, data: memoryview) -> int:
        sent, send = 0, self._socket.send
        try:
            while sent < len(data):
                sent += send(data[sent : sent + SENT_AT_ONCE])
        except NOT_YET:
            if not sent:
                raise
        return sent

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """The same connection, encrypted; this object is of no use any more."""
        if isinstance(self._socket, ssl.SSLSocket):  # through a proxy that is itself encrypted
            raise httpcore.ConnectError("TLS within TLS is not supported")
        encrypted = Stream(
            ssl_context.wrap_socket(
                self._socket, server_hostname=server_hostname, do_handshake_on_connect=False
            )
        )
        try:
            await encrypted.shake_hands(timeout)
        except BaseException:
            await encrypted.aclose()
            raise
        return encrypted

    async def shake_hands(self, timeout: float | None) -> None:
        """Raises ConnectError, ConnectTimeout."""
        assert isinstance(self._socket, ssl.SSLSocket)  # noqa: S101  # start_tls made it
        with _bounded(timeout, httpcore.ConnectTimeout, httpcore.ConnectError):
            await self._when_ready(self._socket.do_handshake, reading=True)

    async def aclose(self) -> None:
        if self._socket.fileno() >= 0:
            trio.lowlevel.notify_closing(self._socket)
            self._say_goodbye()
            self._socket.close()
        await trio.lowlevel.checkpoint()

    def _say_goodbye(self) -> None:
        """Tell the other side that this was the end; whether it hears that, does not matter."""
        if isinstance(self._socket, ssl.SSLSocket):
            try:
                self._socket.unwrap()
            except (OSError, ValueError):
                return

    def get_extra_info(self, info: str) -> Any:
        """What httpcore asks for: whether an idle connection has something to read."""
        if info == "is_readable":
            poll = select.poll()
            poll.register(self._socket, select.POLLIN)
            return bool(poll.poll(0))
        if info == "ssl_object":
            return self._socket if isinstance(self._socket, ssl.SSLSocket) else None
        return {
            "socket": self._socket,
            "client_addr": self._socket.getsockname(),
            "server_addr": self._socket.getpeername(),
        }.get(info)

    async def _when_ready(self, attempt: Callable[[], T], *, reading: bool) -> T:
        """Try until it does not have to wait. `reading`: what a plain socket waits for."""
        wait: Callable[[socket.socket], Awaitable[None]]
        await trio.lowlevel.checkpoint_if_cancelled()
        while True:
            try:
                result = attempt()
            except NOT_YET as error:
                reads = reading and not isinstance(error, ssl.SSLWantWriteError)
                if reads or isinstance(error, ssl.SSLWantReadError):
                    wait = trio.lowlevel.wait_readable
                else:
                    wait = trio.lowlevel.wait_writable
            else:
                break
            await wait(self._socket)
        await trio.lowlevel.cancel_shielded_checkpoint()
        return result


def _adopted(stream: trio.SocketStream, options: Iterable[httpcore.SOCKET_OPTION] | None) -> Stream:
    """The connection without trio's wrapping: OpenSSL needs the socket itself."""
    connection = socket.socket(fileno=stream.socket.detach())
    connection.setblocking(False)
    for option in options or ():
        connection.setsockopt(*option)
    return Stream(connection)


@contextmanager
def _bounded(
    seconds: float | None, late: type[Exception], broken: type[Exception]
) -> Iterator[None]:
    """Let it take so many seconds; what goes wrong becomes an error of httpcore."""
    try:
        with trio.fail_after(float("inf") if seconds is None else seconds):
            yield
    except trio.TooSlowError:
        raise late from None
    except (OSError, trio.ClosedResourceError) as error:  # ssl.SSLError is an OSError
        raise broken(str(error)) from error
