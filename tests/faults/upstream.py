"""The real server behind the proxy: asked over its socket, one connection for each request."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}
"""Headers that are for one connection."""


@dataclass
class Answer:
    """An answer as the server gave it."""

    code: int
    headers: list[tuple[str, str]]
    body: bytes

    def head(self, length: int | str | None = None) -> bytes:
        """Status line and headers; `length` in place of the right one."""
        lines = [f"HTTP/1.1 {self.code} Answer"]
        lines += [f"{name}: {value}" for name, value in self.headers if name.lower() not in HOP]
        lines.append(f"Content-Length: {len(self.body) if length is None else length}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class _Upstream(HTTPConnection):
    """A connection to the server's socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(60)
        self.sock.connect(str(self._path))


def ask(upstream: Path, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
    """Ask the server itself."""
    connection = _Upstream(upstream)
    try:
        connection.request(method, path, body or None, dict(headers))
        response = connection.getresponse()
        return Answer(response.status, response.getheaders(), response.read())
    finally:
        connection.close()
