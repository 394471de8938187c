"""What systemd is told of a service: that it is ready, how it is, that it lives, that it ends.

The protocol of sd_notify(3): each message is one datagram of NAME=VALUE lines, sent to the socket
that the environment names. Without one nothing is sent, and nothing is woken up.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import socket
import sys
from collections.abc import Callable, MutableMapping

import trio

log = logging.getLogger(__name__)

INTERVAL = 10.0
"""Seconds between looks at what the status is."""
SEND_TIMEOUT = 1.0


class Notifier:
    """The way to systemd, where it has started this process."""

    def __init__(self, address: str | None = None, watchdog: float | None = None) -> None:
        """`watchdog`: after how many seconds without a sign of life systemd ends this process."""
        self._address = address
        self._watchdog = watchdog
        self._status = ""

    @classmethod
    def take(cls, environ: MutableMapping[str, str]) -> Notifier:
        """From the environment, which loses it: no program that is started speaks for this one."""
        address = environ.pop("NOTIFY_SOCKET", None) or None
        limit, process = environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", "")
        watched = limit.isdecimal() and int(limit) > 0 and process in ("", str(os.getpid()))
        return cls(address, int(limit) / 1e6 if watched else None)

    def ready(self, status: str) -> None:
        """The service can be used."""
        self._send("READY=1", self._told(status))

    def stopping(self, within: float) -> None:
        """The service ends by itself within so many seconds, however long that may usually take."""
        self._send("STOPPING=1", f"EXTEND_TIMEOUT_USEC={int(within * 1e6)}")

    async def keep_told(self, describe: Callable[[], str]) -> None:
        """Tell, for ever, that the event loop comes round, and the status when it has changed."""
        if self._address is None:
            return
        interval = INTERVAL
        if self._watchdog is not None:
            interval = min(interval, self._watchdog / 3)
            faulthandler.enable(file=sys.stderr)  # the end by the watchdog shows where it is stuck
        while True:
            lines = ["WATCHDOG=1"] if self._watchdog is not None else []
            status = describe()
            if status != self._status:
                lines.append(self._told(status))
            if lines:
                self._send(*lines)
            await trio.sleep(interval)

    def _told(self, status: str) -> str:
        self._status = status
        return "STATUS=" + status.replace("\n", " ")

    def _send(self, *lines: str) -> None:
        if self._address is None:
            return
        address = os.fsencode(self._address)
        if address.startswith(b"@"):
            address = b"\0" + address[1:]
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifying:
            notifying.settimeout(SEND_TIMEOUT)
            try:
                notifying.sendto(os.fsencode("\n".join(lines)), address)
            except OSError as error:
                log.warning("systemd cannot be told %s: %s", lines[0], error)
