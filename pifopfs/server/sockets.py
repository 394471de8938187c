"""Listening Unix sockets that only this user can reach, and that are still found when their
folder has gone: a runtime folder is removed when its user logs out, while a server may run on.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
import stat
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import trio

from pifopfs.errors import ServerNotStarted, SetupError
from pifopfs.machine import check_socket_path, private_folder

log = logging.getLogger(__name__)

BACKLOG = 1024
CHECK_INTERVAL = 1.0
"""Seconds between looks whether a socket's name is still there."""

Serve = Callable[[trio.SocketStream], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Bound:
    """A socket that listens under a name."""

    path: Path
    listener: socket.socket
    identity: tuple[int, int]
    """Device and inode of the name, by which it is known from one that another server has made."""

    @property
    def there(self) -> bool:
        """Whether the name still leads here."""
        try:
            status = self.path.lstat()
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == self.identity

    def remove(self) -> None:
        """Remove the name."""
        if self.there:
            self.path.unlink(missing_ok=True)


async def accept(
    paths: Sequence[Path],
    serve: Serve,
    handlers: trio.Nursery,
    told: Callable[[Path], None] = lambda _: None,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Have `serve` called in `handlers` for every connection, until cancelled.

    The socket has the first of `paths`. Where its name vanishes, it is bound anew at the first
    that can be had; `told` hears of each place. Raises ServerNotStarted.
    """
    bound = bind(paths[0])
    try:
        while True:
            told(bound.path)
            listener = trio.SocketListener(trio.socket.from_stdlib_socket(bound.listener))
            async with trio.open_nursery() as nursery:
                accepting = partial(trio.serve_listeners, handler_nursery=handlers)
                await nursery.start(accepting, serve, [listener])
                task_status.started()
                task_status = trio.TASK_STATUS_IGNORED
                bound = await _successor(bound, paths)
                nursery.cancel_scope.cancel()
    finally:
        bound.remove()


async def _successor(bound: Bound, paths: Sequence[Path]) -> Bound:
    """The socket that takes the place of one whose name has vanished."""
    failed: Exception | None = None
    while True:
        await trio.sleep(CHECK_INTERVAL)
        if bound.there:
            continue
        for path in paths:
            try:
                private_folder(path.parent)
                successor = bind(path)
            except SetupError as error:
                if failed is None:
                    log.warning("%s is gone: %s", bound.path, error)
                failed = error
            else:
                log.warning("%s was gone: listening on %s", bound.path, path)
                return successor


def bind(path: Path) -> Bound:
    """A socket that listens at `path`. Raises SetupError: ServerNotStarted where it is in use."""
    check_socket_path(path)
    try:
        if _answers(path):
            raise ServerNotStarted(
                f"another server listens on {path}; end it, or name another socket"
            )
        _remove_left_over(path)
        return _listening(path)
    except OSError as error:
        raise ServerNotStarted(f"cannot listen on {path}: {error.strerror}") from error


def _listening(path: Path) -> Bound:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(os.fspath(path))
        path.chmod(0o600)
        listener.listen(BACKLOG)
        status = path.lstat()
    except BaseException:
        listener.close()
        raise
    return Bound(path, listener, (status.st_dev, status.st_ino))


def _remove_left_over(path: Path) -> None:
    """Remove the socket of a server that has died, and nothing else."""
    try:
        kind = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(kind):
        raise ServerNotStarted(f"{path} is not a socket; remove it, or name another socket")
    path.unlink(missing_ok=True)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        return probe.connect_ex(os.fspath(path)) in (0, errno.EAGAIN)
