"""The total table from the error tree to errnos, and the decorator that applies it.

EAGAIN is never answered: readers take it for an end. Every leaf of the tree is in the table; the
test of this module compares the two.
"""

from __future__ import annotations

import errno
import functools
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

import pyfuse3

from pifopfs import errors
from pifopfs.fuse.activity import Activity

log = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

ERRNOS: dict[type[errors.PifopfsError], int] = {
    errors.Unreachable: errno.EHOSTUNREACH,
    errors.ConnectionRefused: errno.ECONNREFUSED,
    errors.ConnectTimedOut: errno.ETIMEDOUT,
    errors.NoConnectionFree: errno.ETIMEDOUT,
    errors.TlsFailure: errno.EPROTO,
    errors.ServiceDown: errno.EHOSTUNREACH,
    errors.NoAnswer: errno.ETIMEDOUT,
    errors.ConnectionBroken: errno.EIO,
    errors.BadAnswer: errno.EIO,
    errors.ServiceFailure: errno.EIO,
    errors.AccessDenied: errno.EACCES,
    errors.FunctionUnknown: errno.ENOENT,
    errors.ExecutionUnknown: errno.ENOENT,
    errors.InputUnknown: errno.ENOENT,
    errors.OutputUnknown: errno.ENOENT,
    errors.ApiKeyUnknown: errno.ENOENT,
    errors.InputsClosed: errno.EACCES,
    errors.AlreadyRunning: errno.EALREADY,
    errors.AlreadyEnded: errno.EINVAL,
    errors.NotStarted: errno.EINVAL,
    errors.NotEnded: errno.ENOENT,
    errors.TooLarge: errno.EFBIG,
    errors.TooManyExecutions: errno.EDQUOT,
    errors.ServiceBusy: errno.EBUSY,
    errors.RequestRejected: errno.EIO,
    errors.NoSuchName: errno.ENOENT,
    errors.NameTaken: errno.EEXIST,
    errors.NameInvalid: errno.EINVAL,
    errors.NameTooLong: errno.ENAMETOOLONG,
    errors.NotADirectory: errno.ENOTDIR,
    errors.IsADirectory: errno.EISDIR,
    errors.DirectoryNotEmpty: errno.ENOTEMPTY,
    errors.AccessNotAllowed: errno.EACCES,
    errors.OperationNotPermitted: errno.EPERM,
    errors.OtherDirectory: errno.EXDEV,
    errors.InputOpen: errno.EBUSY,
    errors.InputUndeclared: errno.EINVAL,
    errors.InputWithdrawn: errno.EINVAL,
    errors.InputTorn: errno.EINVAL,
    errors.NotWaitable: errno.EINVAL,
    errors.FileRemoved: errno.ESTALE,  # on which the kernel looks the name up again
    errors.Terminated: errno.ESTALE,
    errors.WaitEnded: errno.ENOENT,
    errors.OutputChanged: errno.EIO,
    errors.LocalStorageFull: errno.ENOSPC,
    errors.LocalStorageFailed: errno.EIO,
    errors.Interrupted: errno.EINTR,
}
"""`SetupError` is not here: it is raised before anything is mounted."""


def errno_of(error: errors.PifopfsError) -> int:
    """The errno of an error, EIO for one that should not reach the kernel.

    Of a service that is down, it is the one that its last failure had.
    """
    if isinstance(error, errors.ServiceDown):
        error = error.failure
    return ERRNOS.get(type(error), errno.EIO)


class Observed(Protocol):
    """Who answers requests, and what is known of that."""

    activity: Activity


Self = TypeVar("Self", bound=Observed)


def answered(
    handler: Callable[Concatenate[Self, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[Self, P], Coroutine[Any, Any, R]]:
    """Answer a request's failure with an errno; any other exception would end the whole mount.

    Each is counted: those of a method `_read` as `read`, and only where they fail.
    """
    name = handler.__name__.removeprefix("_")
    whole = name == handler.__name__

    @functools.wraps(handler)
    async def answer(self: Self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        if whole:
            self.activity.operations[name] += 1
        try:
            return await handler(self, *args, **kwargs)
        except pyfuse3.FUSEError as error:
            self.activity.errors[name, error.errno] += 1
            raise
        except errors.PifopfsError as error:
            number = errno_of(error)
            self.activity.errors[name, number] += 1
            log.debug("%s: %s: %s", name, errno.errorcode[number], error)
            raise pyfuse3.FUSEError(number) from error
        except Exception as error:
            self.activity.errors[name, errno.EIO] += 1
            log.exception("bug in %s", name)
            raise pyfuse3.FUSEError(errno.EIO) from error

    return answer
