"""The files of an execution in a mount, read as any program reads them; failures by meaning."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager

from pifopfs import errors
from pifopfs.cli.naming import InMount
from pifopfs.cli.texts import shown
from pifopfs.wire import Execution, MalformedDocument

PIECE = 1 << 17
DEAD = {errno.ENOTCONN, errno.ECONNABORTED}


class NoExecution(Exception):
    """It is not, or no more, in the mount."""


class NotStarted(Exception):
    """There is nothing to wait for."""


def open_file(where: InMount, name: str) -> int:
    """A descriptor. Raises NoExecution, NotStarted, MountpointInvalid, ServiceFailure."""
    with translated(where, name):
        return os.open(where.folder / name, os.O_RDONLY | os.O_CLOEXEC)


def read_all(where: InMount, name: str) -> bytes:
    """A small file. Raises as `open_file`."""
    file = open_file(where, name)
    try:
        with translated(where, name):
            return b"".join(iter(lambda: os.read(file, PIECE), b""))
    finally:
        os.close(file)


def status(where: InMount) -> Execution | None:
    """The Execution object, None where the service has none any more. Raises as `open_file`."""
    document = json.loads(read_all(where, "status.json"))
    try:
        return Execution.from_json(document)
    except MalformedDocument:
        if document.get("status") == "gone":
            return None
        raise


@contextmanager
def translated(where: InMount, name: str) -> Iterator[None]:
    """Raises what an errno of the mount means, as `open_file` says."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ESTALE):
            raise NoExecution from error
        if error.errno == errno.EINVAL and name == "wait":
            raise NotStarted from error
        if error.errno in DEAD:
            mountpoint = where.folder.parent.parent
            raise errors.MountpointInvalid(
                f"the mount on {mountpoint} is dead: its daemon has ended; mount the function anew"
            ) from error
        told = f"{error.strerror}; see {where.folder / 'error'}"
        raise errors.ServiceFailure(f"{name} of {shown(where.given)}", told) from error
