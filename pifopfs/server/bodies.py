"""Answers that may be long, sent in pieces: a reader, however slow, has little held for it."""

from __future__ import annotations

import json
import logging
from abc import abstractmethod
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from typing import Any

import trio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from pifopfs.server.answers import HEADERS
from pifopfs.server.logs import LogReader, Span

log = logging.getLogger(__name__)

PIECE = 256 << 10


class Body(Response):
    """An answer of known length, sent piece by piece. It is closed in any case."""

    def __init__(self, kind: str, size: int, code: int = 200) -> None:
        headers = {**HEADERS, "Content-Type": kind, "Content-Length": str(size)}
        super().__init__(status_code=code, headers=headers)
        self._size = size

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        complete = False
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_until_gone, receive, nursery.cancel_scope)
                complete = await self._send(send, with_content=scope["method"] != "HEAD")
                nursery.cancel_scope.cancel()
            if complete:  # its end is also told to who waits here, and must not be cut by that
                await send({"type": "http.response.body"})
        finally:
            self.close()

    async def _send(self, send: Send, *, with_content: bool) -> bool:
        """Everything but the end; whether it was all."""
        start = {"status": self.status_code, "headers": self.raw_headers}
        await send({"type": "http.response.start", **start})
        left = self._size if with_content else 0
        if left:
            async with aclosing(self.pieces()) as pieces:
                async for piece in pieces:
                    left -= len(piece)
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
        if left:  # without its end the connection breaks, as it must
            log.warning("a file became shorter while it was sent")
        return not left

    @abstractmethod
    def pieces(self) -> AsyncGenerator[bytes, None]:
        """The content."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the file."""


class DocumentBody(Body):
    """A JSON object, of which some members are parts of a log."""

    def __init__(
        self, document: Mapping[str, Any], reader: LogReader, parts: Mapping[str, Span]
    ) -> None:
        """For a thread: it reads the parts, to tell the length. `document` is not empty."""
        self._reader = reader
        self._content = list(self._planned(document, parts))
        super().__init__("application/json", sum(map(self._length, self._content)))

    def _planned(
        self, document: Mapping[str, Any], parts: Mapping[str, Span]
    ) -> Iterator[bytes | Span]:
        """Bytes, and parts of the log that are read when they are sent."""
        yield _json(document)[:-1]
        for name, part in parts.items():
            yield b"," + _json(name) + b':"'
            yield from self._reader.spans(part, PIECE) if part.size > PIECE else (self._text(part),)
            yield b'"'
        yield b"}"

    def _text(self, span: Span) -> bytes:
        """As it is within the quotation marks of JSON."""
        return _json(self._reader.text(span))[1:-1]

    def _length(self, content: bytes | Span) -> int:
        return len(content if isinstance(content, bytes) else self._text(content))

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        for content in self._content:
            if isinstance(content, bytes):
                yield content
            else:
                yield await trio.to_thread.run_sync(self._text, content)

    def close(self) -> None:
        self._reader.close()


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


async def _until_gone(receive: Receive, scope: trio.CancelScope) -> None:
    """End the answer with its reader: what is sent to nobody is taken without a word."""
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()
