"""What every payload uses: it tries what it must not do, and prints how that went."""

# ruff: noqa: T201  # it calls the system as any program would

from __future__ import annotations

import ctypes
import errno
import json
import os
import sys
from collections.abc import Callable
from typing import Any

libc = ctypes.CDLL(None, use_errno=True)


def targets() -> Any:
    """What the test wants to be tried."""
    return json.loads(sys.argv[1])


def attempt(name: str, action: Callable[[], object]) -> None:
    """Print ESCAPED where it can be done, BLOCKED where the system refuses."""
    try:
        action()
    except OSError as error:
        code = errno.errorcode.get(error.errno or 0, type(error).__name__)
        print(f"BLOCKED\t{name}\t{code}", flush=True)
    else:
        print(f"ESCAPED\t{name}\t", flush=True)


def facts(**found: object) -> None:
    """Print what the test judges itself."""
    print("FACTS\t" + json.dumps(found), flush=True)


def checked(result: int) -> int:
    """The result of a call into the C library. Raises OSError."""
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def syscall(number: int, *arguments: int | bytes | None) -> int:
    """Raises OSError."""
    words = [
        ctypes.c_long(value) if isinstance(value, int) else ctypes.c_char_p(value)
        for value in arguments
    ]
    libc.syscall.restype = ctypes.c_long
    return checked(libc.syscall(ctypes.c_long(number), *words))


def require(what: object) -> None:
    """Raises OSError where it is not so, as the system would."""
    if not what:
        raise PermissionError(errno.EPERM, "it is not so")
