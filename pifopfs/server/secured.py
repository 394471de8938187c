"""TLS on a connection, in large units: trio's own stream gives one record of 16 KiB at a time."""

from __future__ import annotations

import ssl

import trio

REFILL = 1 << 18
"""Bytes taken from the network, and encrypted for it, at a time."""


class TlsStream:
    """The server's side of a connection. One task may receive while another sends.

    HTTP says itself where a message ends: no closing alert is sent or waited for.
    """

    def __init__(self, transport_stream: trio.SocketStream, context: ssl.SSLContext) -> None:
        self.transport_stream = transport_stream
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._flushing = trio.Lock()

    async def do_handshake(self) -> None:
        """Raises trio.BrokenResourceError."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._refill()
            except ssl.SSLError as error:
                await self._flush()  # why, for the client
                raise trio.BrokenResourceError from error
            else:
                await self._flush()
                return

    async def receive_some(self, max_bytes: int) -> bytes:
        """What has come, in as many records as there are; nothing at the end.

        Raises trio.BrokenResourceError, trio.ClosedResourceError.
        """
        while True:
            try:
                content = self._decrypted(max_bytes)
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                content = b""
            except ssl.SSLWantReadError:
                await self._refill()
                continue
            except ssl.SSLError as error:
                raise trio.BrokenResourceError from error
            await self._flush()  # what the protocol itself answers
            return content

    def _decrypted(self, max_bytes: int) -> bytes:
        """Raises SSLError, SSLWantReadError where there is nothing yet."""
        pieces = [self._tls.read(max_bytes)]
        left = max_bytes - len(pieces[0])
        while left and pieces[-1] and (self._incoming.pending or self._tls.pending()):
            try:
                pieces.append(self._tls.read(left))
            except ssl.SSLError:  # it comes again with the next one
                break
            left -= len(pieces[-1])
        return b"".join(pieces)

    async def send_all(self, data: bytes) -> None:
        """Raises trio.BrokenResourceError, trio.ClosedResourceError."""
        with memoryview(data) as view:
            for start in range(0, len(view), REFILL):
                try:
                    self._tls.write(view[start : start + REFILL])
                except ssl.SSLError as error:
                    raise trio.BrokenResourceError from error
                await self._flush()

    async def aclose(self) -> None:
        """Close the connection."""
        await self.transport_stream.aclose()

    async def _refill(self) -> None:
        encrypted = await self.transport_stream.receive_some(REFILL)
        if encrypted:
            self._incoming.write(encrypted)
        else:
            self._incoming.write_eof()

    async def _flush(self) -> None:
        """Send what is encrypted, in its order."""
        async with self._flushing:
            encrypted = self._outgoing.read()
            if encrypted:
                await self.transport_stream.send_all(encrypted)
