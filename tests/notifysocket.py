"""The socket of a systemd, for tests of what a service tells it."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from types import TracebackType

Message = dict[str, str]


class NotifySocket:
    """Receives, and keeps, what is sent."""

    def __init__(self, address: Path | str) -> None:
        self.address = os.fspath(address)
        name = f"\0{self.address[1:]}" if self.address.startswith("@") else self.address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(name)
        self._socket.setblocking(False)
        self._messages: list[Message] = []

    def __enter__(self) -> NotifySocket:
        return self

    def __exit__(
        self, _: type[BaseException] | None, _value: BaseException | None, _tb: TracebackType | None
    ) -> None:
        self._socket.close()

    @property
    def messages(self) -> list[Message]:
        """All so far: the lines of each datagram, by their names."""
        while True:
            try:
                text = self._socket.recv(65536).decode()
            except BlockingIOError:
                return self._messages
            self._messages.append(dict(line.split("=", 1) for line in text.split("\n")))

    def told(self, name: str) -> list[str]:
        """The values of this name, in their order."""
        return [message[name] for message in self.messages if name in message]
