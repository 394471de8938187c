"""The filter of system calls for programs in the sandbox, as bytes for `bwrap --seccomp`.

The filter is a program of classic BPF, an array of the kernel's `struct sock_filter`. It allows all
calls but those of the tables here: ways to the kernel that namespaces do not close, such as its
keys, or that a program has no use for without privileges. Those are refused with an errno, as an
older kernel or a missing privilege would refuse them, so that programs go on without them.

The numbers are those of the kernel's `asm/unistd.h`, of Linux's own interface to each machine.
"""

from __future__ import annotations

import errno
import platform
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass


class UnknownMachine(Exception):
    """There is no table of system calls for this kind of machine."""

    def __init__(self, machine: str) -> None:
        super().__init__(machine)
        self.machine = machine

    def __str__(self) -> str:
        known = ", ".join(MACHINES)
        return f"there is no filter of system calls for {self.machine}, only for {known}"


# ── What is refused ───────────────────────────────────────────────────────────────────────────

NOT_PERMITTED = (
    *("keyctl", "add_key", "request_key"),  # the server's session keyring is the program's, too
    *("bpf", "perf_event_open", "userfaultfd"),
    *("kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module"),
    *("mount", "umount2", "pivot_root", "open_tree", "open_tree_attr", "move_mount"),
    *("fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr"),
    *("swapon", "swapoff", "reboot", "acct", "quotactl", "quotactl_fd", "syslog", "uselib"),
    *("setns", "unshare", "open_by_handle_at", "vhangup", "settimeofday", "clock_settime"),
    *("iopl", "ioperm", "modify_ldt"),
)
"""EPERM."""

NOT_THERE = ("clone3", "io_uring_setup", "io_uring_enter", "io_uring_register")
"""ENOSYS: programs then use older calls. The flags of `clone3` lie in memory, out of a filter's
sight; what `io_uring` does passes by any filter.
"""

FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10, "AF_NETLINK": 16}
"""The sockets that are allowed. Others, such as AF_VSOCK, know no network namespaces."""

TERMINAL_INPUT = {"TIOCSTI": 0x5412, "TIOCLINUX": 0x541C}
"""The requests of `ioctl` that type into a terminal in its user's name."""

CLONE_NEWUSER = 0x10000000

# ── The machines ──────────────────────────────────────────────────────────────────────────────

X32 = 0x40000000
"""The lowest number of the calls of x32, which a 64-bit kernel of x86 may offer besides its own."""


@dataclass(frozen=True, slots=True)
class Machine:
    """One kind of machine."""

    architecture: int
    """The kernel's AUDIT_ARCH_*."""
    numbers: Mapping[str, int]
    """Its system calls. One that is missing does not exist there."""
    x32: bool = False


EVERYWHERE = {
    "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "open_tree": 428,
    "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433,
    "clone3": 435, "mount_setattr": 442, "quotactl_fd": 443, "open_tree_attr": 467,
}  # fmt: skip
"""Calls that are younger than 5.0 have one number on all machines."""

X86_64 = {
    "ioctl": 16, "socket": 41, "clone": 56, "syslog": 103, "uselib": 134, "vhangup": 153,
    "modify_ldt": 154, "pivot_root": 155, "acct": 163, "settimeofday": 164, "mount": 165,
    "umount2": 166, "swapon": 167, "swapoff": 168, "reboot": 169, "iopl": 172, "ioperm": 173,
    "init_module": 175, "delete_module": 176, "quotactl": 179, "clock_settime": 227,
    "kexec_load": 246, "add_key": 248, "request_key": 249, "keyctl": 250, "unshare": 272,
    "perf_event_open": 298, "open_by_handle_at": 304, "setns": 308, "finit_module": 313,
    "kexec_file_load": 320, "bpf": 321, "userfaultfd": 323,
}  # fmt: skip

AARCH64 = {
    "ioctl": 29, "umount2": 39, "mount": 40, "pivot_root": 41, "vhangup": 58, "quotactl": 60,
    "acct": 89, "unshare": 97, "kexec_load": 104, "init_module": 105, "delete_module": 106,
    "clock_settime": 112, "syslog": 116, "reboot": 142, "settimeofday": 170, "socket": 198,
    "add_key": 217, "request_key": 218, "keyctl": 219, "clone": 220, "swapon": 224, "swapoff": 225,
    "perf_event_open": 241, "open_by_handle_at": 265, "setns": 268, "finit_module": 273,
    "bpf": 280, "userfaultfd": 282, "kexec_file_load": 294,
}  # fmt: skip
"""It never had `uselib`, `iopl`, `ioperm` and `modify_ldt`."""

MACHINES = {
    "x86_64": Machine(0xC000003E, {**X86_64, **EVERYWHERE}, x32=True),
    "aarch64": Machine(0xC00000B7, {**AARCH64, **EVERYWHERE}),
}
"""By the names of `uname -m`."""

# ── Instructions ──────────────────────────────────────────────────────────────────────────────

LOAD = 0x20  # BPF_LD | BPF_W | BPF_ABS
EQUAL, AT_LEAST, ANY_BIT = 0x15, 0x35, 0x45  # BPF_JMP | BPF_K | BPF_JEQ, BPF_JGE, BPF_JSET
RETURN = 0x06  # BPF_RET | BPF_K

NUMBER, ARCHITECTURE, ARGUMENTS = 0, 4, 16
"""Offsets in the kernel's `struct seccomp_data`. An argument has 8 bytes, of which the first 4 are
the low ones on both machines; the kernel looks at no others of an `int`.
"""

ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000  # SECCOMP_RET_*, of the whole process

FARTHEST = 255


@dataclass(frozen=True, slots=True)
class Label:
    """A place to jump to: the instruction that follows."""

    name: str


@dataclass(frozen=True, slots=True)
class Do:
    """An instruction that is no jump."""

    code: int
    value: int


@dataclass(frozen=True, slots=True)
class Jump:
    """A comparison; where a label is None, what follows is next."""

    code: int
    value: int
    yes: str | None = None
    no: str | None = None


Line = Label | Do | Jump


def program(machine: str = platform.machine()) -> bytes:
    """The filter for a kind of machine, as `uname -m` names it. Raises UnknownMachine."""
    if machine not in MACHINES:
        raise UnknownMachine(machine)
    return assembled(list(_filter(MACHINES[machine])))


def assembled(lines: Sequence[Line]) -> bytes:
    """The instructions in this machine's byte order, with their jumps, which only lead forward."""
    places: dict[str, int] = {}
    instructions: list[Do | Jump] = []
    for line in lines:
        if isinstance(line, Label):
            places[line.name] = len(instructions)
        else:
            instructions.append(line)
    return b"".join(
        struct.pack("=HBBI", line.code, *_distances(line, at, places), line.value)
        for at, line in enumerate(instructions)
    )


def _distances(line: Do | Jump, at: int, places: Mapping[str, int]) -> tuple[int, int]:
    if isinstance(line, Do):
        return 0, 0
    yes, no = (0 if name is None else places[name] - at - 1 for name in (line.yes, line.no))
    if not (0 <= yes <= FARTHEST and 0 <= no <= FARTHEST):
        raise ValueError(f"a jump from {at} goes back, or too far")
    return yes, no


# ── The filter ────────────────────────────────────────────────────────────────────────────────


def _filter(machine: Machine) -> Iterator[Line]:
    yield Do(LOAD, ARCHITECTURE)
    yield Jump(EQUAL, machine.architecture, no="kill")
    yield Do(LOAD, NUMBER)
    if machine.x32:
        yield Jump(EQUAL, 0xFFFFFFFF, yes="allow")  # a call that a debugger has cancelled
        yield Jump(AT_LEAST, X32, yes="not there")
    for name in ("clone", "socket", "ioctl"):
        yield Jump(EQUAL, machine.numbers[name], yes=name)
    for names, answer in ((NOT_THERE, "not there"), (NOT_PERMITTED, "not permitted")):
        for name in names:
            if name in machine.numbers:
                yield Jump(EQUAL, machine.numbers[name], yes=answer)
    yield Do(RETURN, ALLOW)
    yield from _by_argument()
    yield from _answers()


def _by_argument() -> Iterator[Line]:
    """Each of these ends in a jump that goes both ways, or in an answer."""
    yield Label("clone")
    yield Do(LOAD, ARGUMENTS)
    yield Jump(ANY_BIT, CLONE_NEWUSER, yes="not permitted", no="allow")
    yield Label("ioctl")
    yield Do(LOAD, ARGUMENTS + 8)
    for request in TERMINAL_INPUT.values():
        yield Jump(EQUAL, request, yes="not permitted")
    yield Do(RETURN, ALLOW)
    yield Label("socket")
    yield Do(LOAD, ARGUMENTS)
    for family in FAMILIES.values():
        yield Jump(EQUAL, family, yes="allow")
    yield Do(RETURN, ERRNO | errno.EAFNOSUPPORT)


def _answers() -> Iterator[Line]:
    answers = {
        "allow": ALLOW,
        "not permitted": ERRNO | errno.EPERM,
        "not there": ERRNO | errno.ENOSYS,
        "kill": KILL,
    }
    for name, value in answers.items():
        yield Label(name)
        yield Do(RETURN, value)
