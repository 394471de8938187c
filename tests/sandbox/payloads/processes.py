"""Reaches for a process outside, by its number there."""

# ruff: noqa: PTH116, PTH208  # it calls the system as any program would

from __future__ import annotations

import ctypes
import os
import signal

from attempts import attempt, checked, facts, libc, targets

ATTACH, SEIZE = 16, 0x4206

outside = targets()["pid"]


def trace(request: int) -> None:
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    libc.ptrace.restype = ctypes.c_long
    checked(libc.ptrace(request, outside, None, None))


attempt("look", lambda: os.kill(outside, 0))
attempt("signal", lambda: os.kill(outside, signal.SIGURG))
attempt("signal its group", lambda: os.killpg(outside, signal.SIGURG))  # which nobody minds
attempt("pidfd", lambda: os.close(os.pidfd_open(outside)))
attempt("ptrace seize", lambda: trace(SEIZE))
attempt("ptrace attach", lambda: trace(ATTACH))
attempt("priority", lambda: os.setpriority(os.PRIO_PROCESS, outside, 19))
attempt("affinity", lambda: os.sched_getaffinity(outside))
for name in ("environ", "cmdline", "maps", "cwd", "root", "fd"):
    attempt(f"proc {name}", lambda name=name: os.stat(f"/proc/{outside}/{name}"))
facts(pids=[int(name) for name in os.listdir("/proc") if name.isdecimal()], own=os.getpid())
