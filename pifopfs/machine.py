"""This machine, as both halves need it: processes, private folders, locks, the runtime folder."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import hashlib
import os
import re
import resource
import stat
import warnings
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from pifopfs.errors import SetupError

ISOLATIONS = BUBBLEWRAP, NONE = ("bubblewrap", "none")
"""What can keep a function's programs apart from the rest of the machine."""

LOCAL = "local"
"""The engine that runs programs on this machine."""

LOG_LEVELS = ("debug", "info", "warning", "error")
LOG_FORMATS = ("text", "json")

PR_SET_DUMPABLE = 4
"""Of prctl(2)."""
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Of mallopt(3)."""

LONGEST_SOCKET_PATH = 107
"""Bytes that the kernel takes for the address of a Unix socket."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process, or the zombie of one."""

    pid: int
    state: str
    """A letter, as in ps."""
    parent: int
    session: int
    started: int
    """In clock ticks since the boot: tells it from a later one of the same number."""

    @property
    def dead(self) -> bool:
        """It is a zombie."""
        return self.state in "ZX"

    @property
    def stopped(self) -> bool:
        """By a signal, or by who traces it."""
        return self.state in "Tt"


def look(pid: int) -> Process | None:
    """None where there is no such process. Its name is any bytes, so nothing is read as text."""
    try:
        content = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    fields = content[content.rindex(b")") + 2 :].split()
    return Process(pid, fields[0].decode(), int(fields[1]), int(fields[3]), int(fields[19]))


def processes() -> list[Process]:
    """Every process that can be seen."""
    found = [look(int(name)) for name in os.listdir("/proc") if name.isdecimal()]  # noqa: PTH208
    return [process for process in found if process is not None]


def start_time(pid: int) -> int | None:
    """When a process began, as in `Process`; None where there is none, or only its zombie."""
    process = look(pid)
    return None if process is None or process.dead else process.started


def is_hidden(pid: int) -> bool:
    """Whether there is a process of this user's that /proc does not show: mounted with `hidepid` it
    hides those that nobody may look into, such as our daemons.
    """
    if Path(f"/proc/{pid}").exists():
        return False
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def short_key(name: bytes) -> str:
    """A short name for a file or folder that is about something with a long one."""
    return hashlib.sha256(name).hexdigest()[:16]


def private_folder(folder: Path) -> Path:
    """Make a folder that only this user can enter. Raises SetupError where it is another's."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
            raise SetupError(f"{folder} is not a folder of yours; name another one")
        if stat.S_IMODE(status.st_mode) & 0o077:
            folder.chmod(0o700)
    except OSError as error:
        raise SetupError(f"the folder {folder} cannot be made: {error.strerror}") from error
    return folder


def runtime_folder(part: str) -> Path:
    """A private folder for sockets and records of what runs now. Raises SetupError."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the fallback without XDG_RUNTIME_DIR is as private
        try:
            base = platformdirs.user_runtime_path("pifopfs")
        except OSError as error:
            raise SetupError(f"{error}; set XDG_RUNTIME_DIR to a folder of your own") from error
    private_folder(base)
    return private_folder(base / part)


SYSTEM_RUNTIME = Path("/run/pifopfs")
"""Takes the place of XDG_RUNTIME_DIR for what root mounts at boot: it does not go with a login."""


def check_socket_path(path: Path) -> Path:
    """Raises SetupError where the kernel would not take it as a socket's address."""
    if len(os.fsencode(path)) > LONGEST_SOCKET_PATH:
        raise SetupError(
            f"{path} is too long for a socket; set XDG_RUNTIME_DIR to a folder of a shorter name"
        )
    return path


def try_lock(path: Path) -> int | None:
    """A descriptor that holds the lock on a file, None where another process holds it.

    The kernel lets go of the lock when the process dies. Raises OSError.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    except BaseException:
        os.close(handle)
        raise
    return handle


@dataclass(frozen=True, slots=True)
class Mounted:
    """A line of /proc/self/mountinfo."""

    mountpoint: Path
    filesystem: str
    source: str
    device: int = 0
    """Its number, as stat has it."""


def mounts() -> list[Mounted]:
    """What is mounted, the topmost last; read without touching any of it."""
    lines = Path("/proc/self/mountinfo").read_bytes().split(b"\n")
    return [_mounted(line) for line in lines if line]


def _mounted(line: bytes) -> Mounted:
    fields, _, rest = line.partition(b" - ")
    filesystem, source = rest.split(b" ")[:2]
    device, _, path = fields.split(b" ")[2:5]
    numbers = os.makedev(*map(int, device.split(b":")))
    return Mounted(Path(_unescaped(path)), _unescaped(filesystem), _unescaped(source), numbers)


def _unescaped(field: bytes) -> str:
    """The kernel writes blanks, tabs, newlines and backslashes as octal numbers."""
    return os.fsdecode(re.sub(rb"\\([0-7]{3})", lambda found: bytes([int(found[1], 8)]), field))


def raise_descriptor_limit() -> int:
    """Allow this process as many open files as it may have; returns how many it had before."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # the system's own limit was lowered since
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return soft


def keep_memory_private() -> None:
    """Let nobody but root see what this process holds: no core dump, no debugger, no environment.

    In /proc its private files become root's. Programs that it starts are as they were.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def reuse_memory() -> None:
    """Let this process use the memory of buffers up to 4 MiB again, and keep 16 MiB for that.

    Memory that comes from the kernel each time is zeroed each time, which costs more than what is
    done with it. C libraries without mallopt do as they like.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, 4 << 20)
        mallopt(M_TRIM_THRESHOLD, 16 << 20)
