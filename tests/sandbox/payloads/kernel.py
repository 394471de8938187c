"""Reaches for what the kernel keeps outside of all namespaces."""

# ruff: noqa: PTH123  # it calls the system as any program would

from __future__ import annotations

import ctypes
import fcntl
import os

from attempts import attempt, checked, libc, require, syscall, targets

SESSION, USER_SESSION = -3, -5
GET_ID, SEARCH, READ = 0, 10, 11
NEWUSER, CHILD = 0x10000000, 17

wanted = targets()
numbers: dict[str, int] = wanted["numbers"]


def key() -> None:
    """Read the server's key."""
    number = syscall(numbers["keyctl"], SEARCH, SESSION, b"user", wanted["key"].encode(), 0)
    syscall(numbers["keyctl"], READ, number, None, 0)


def key_in_proc() -> None:
    with open("/proc/keys", encoding="utf-8") as file:
        require(wanted["key"] in file.read())


def clone3() -> None:
    """With flags that are out of a filter's sight."""
    arguments = (ctypes.c_uint64 * 11)(NEWUSER, 0, 0, 0, CHILD)
    if syscall(numbers["clone3"], ctypes.addressof(arguments), 88) == 0:
        os._exit(0)


def shared_memory() -> None:
    libc.shmat.restype = ctypes.c_void_p
    address = libc.shmat(wanted["shm"], None, 0o10000)  # SHM_RDONLY
    checked(-1 if address == ctypes.c_void_p(-1).value else 0)


def typed(request: int) -> None:
    with open("/dev/ptmx", "rb+", buffering=0) as terminal:
        fcntl.ioctl(terminal, request, b"x")


attempt("key", key)
attempt("key in /proc", key_in_proc)
attempt("keyring", lambda: syscall(numbers["keyctl"], GET_ID, USER_SESSION, 1))
attempt(
    "request_key",
    lambda: syscall(numbers["request_key"], b"user", wanted["key"].encode(), None, 0),
)
attempt("add_key", lambda: syscall(numbers["add_key"], b"user", b"mine", b"x", 1, SESSION))
parameters = ctypes.create_string_buffer(120)
attempt("io_uring", lambda: syscall(numbers["io_uring_setup"], 4, ctypes.addressof(parameters)))
attributes = ctypes.create_string_buffer(128)
attributes[0:16] = (1).to_bytes(4, "little") + b"".join(
    value.to_bytes(4, "little") for value in (4, 4, 1)
)  # an array of one number
attempt("bpf", lambda: syscall(numbers["bpf"], 0, ctypes.addressof(attributes), 48))
attempt("userfaultfd", lambda: syscall(numbers["userfaultfd"], 1))
attempt("clone3", clone3)
attempt("shared memory", shared_memory)
attempt("type into a terminal", lambda: typed(0x5412))
