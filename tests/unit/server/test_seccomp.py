"""The filter of system calls: its tables, what it answers, and that real programs meet it.

What it answers is asked of a small interpreter of its instructions, which knows the numbers of all
machines; what this machine's kernel makes of it, of processes that have loaded it.
"""

from __future__ import annotations

import errno
import os
import platform
import shutil
import signal
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from pifopfs.server.sandbox import seccomp
from pifopfs.server.sandbox.seccomp import (
    ALLOW,
    FAMILIES,
    KILL,
    MACHINES,
    NOT_PERMITTED,
    NOT_THERE,
    TERMINAL_INPUT,
    UnknownMachine,
    program,
)

HERE = MACHINES.get(platform.machine())
on_this_machine = pytest.mark.skipif(HERE is None, reason="there is no filter for this machine")


def needs(name: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(name) is None, reason=f"{name} is not installed")


# ── Tables ────────────────────────────────────────────────────────────────────────────────────

HEADERS = {"x86_64": "asm/unistd_64.h", "aarch64": "asm-generic/unistd.h"}


def numbers_of_headers(machine: str, folder: Path) -> dict[str, int]:
    """What the kernel's headers say of each call in the tables."""
    names = sorted({name for each in MACHINES.values() for name in each.numbers})
    lines = [f'#ifdef __NR_{name}\nprintf("{name} %d\\n", __NR_{name});\n#endif' for name in names]
    source = folder / "numbers.c"
    head = f"#define __ARCH_WANT_SYS_CLONE3\n#include <{HEADERS[machine]}>\n#include <stdio.h>\n"
    source.write_text(f"{head}int main(void) {{\n" + "\n".join(lines) + "\n}\n")
    subprocess.run(["gcc", "-o", folder / "numbers", source], check=True, timeout=60)
    said = subprocess.check_output([folder / "numbers"], text=True, timeout=10)
    pairs = (line.split() for line in said.splitlines())
    return {name: int(number) for name, number in pairs}


@needs("gcc")
@pytest.mark.parametrize("machine", MACHINES)
def test_the_numbers_are_those_of_the_kernels_headers(machine: str, tmp_path: Path) -> None:
    if not any(Path("/usr/include").glob(f"**/{HEADERS[machine]}")):
        pytest.skip(f"there is no {HEADERS[machine]}")
    found, table = numbers_of_headers(machine, tmp_path), MACHINES[machine].numbers
    assert found == {name: table[name] for name in table.keys() & found.keys()}
    assert table.keys() - found.keys() <= {"open_tree_attr", "quotactl_fd", "mount_setattr"}


CONSTANTS = """
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#define SAY(value) printf("%u ", (unsigned) (value))
int main(void) {
    SAY(AUDIT_ARCH_X86_64); SAY(AUDIT_ARCH_AARCH64);
    SAY(BPF_LD | BPF_W | BPF_ABS); SAY(BPF_RET | BPF_K);
    SAY(BPF_JMP | BPF_JEQ | BPF_K); SAY(BPF_JMP | BPF_JGE | BPF_K); SAY(BPF_JMP | BPF_JSET | BPF_K);
    SAY(offsetof(struct seccomp_data, nr)); SAY(offsetof(struct seccomp_data, arch));
    SAY(offsetof(struct seccomp_data, args)); SAY(sizeof(struct sock_filter));
    SAY(SECCOMP_RET_ALLOW); SAY(SECCOMP_RET_KILL_PROCESS); SAY(SECCOMP_RET_ERRNO);
    SAY(CLONE_NEWUSER); SAY(TIOCSTI); SAY(0x541C);
    SAY(AF_UNIX); SAY(AF_INET); SAY(AF_INET6); SAY(AF_NETLINK);
}
"""


@needs("gcc")
def test_the_constants_are_those_of_the_kernels_headers(tmp_path: Path) -> None:
    (tmp_path / "constants.c").write_text("#define _GNU_SOURCE\n" + CONSTANTS)
    binary = tmp_path / "constants"
    subprocess.run(["gcc", "-o", binary, tmp_path / "constants.c"], check=True, timeout=60)
    said = subprocess.check_output([binary], text=True, timeout=10)
    assert [int(word) for word in said.split()] == [
        *(MACHINES[name].architecture for name in ("x86_64", "aarch64")),
        *(seccomp.LOAD, seccomp.RETURN, seccomp.EQUAL, seccomp.AT_LEAST, seccomp.ANY_BIT),
        *(seccomp.NUMBER, seccomp.ARCHITECTURE, seccomp.ARGUMENTS, struct.calcsize("=HBBI")),
        *(seccomp.ALLOW, seccomp.KILL, seccomp.ERRNO),
        *(seccomp.CLONE_NEWUSER, *TERMINAL_INPUT.values(), *FAMILIES.values()),
    ]


def test_an_unknown_machine_has_no_filter() -> None:
    with pytest.raises(UnknownMachine, match=r"for riscv64, only for x86_64, aarch64"):
        program("riscv64")


def test_a_jump_that_is_too_far_is_not_assembled() -> None:
    lines = [seccomp.Jump(seccomp.EQUAL, 1, yes="end"), *[seccomp.Do(seccomp.LOAD, 0)] * 256]
    with pytest.raises(ValueError, match="too far"):
        seccomp.assembled([*lines, seccomp.Label("end"), seccomp.Do(seccomp.RETURN, 0)])


# ── Answers ───────────────────────────────────────────────────────────────────────────────────

TAKEN = {
    seccomp.EQUAL: lambda held, value: held == value,
    seccomp.AT_LEAST: lambda held, value: held >= value,
    seccomp.ANY_BIT: lambda held, value: bool(held & value),
}


def answer(machine: str, number: int, *arguments: int, architecture: int | None = None) -> int:
    """What the filter says of a call."""
    arch = MACHINES[machine].architecture if architecture is None else architecture
    given = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("=IIQ6Q", number & 0xFFFFFFFF, arch, 0, *given)
    instructions = list(struct.iter_unpack("=HBBI", program(machine)))
    at = held = 0
    while True:
        code, yes, no, value = instructions[at]
        at += 1
        if code == seccomp.RETURN:
            return int(value)
        if code == seccomp.LOAD:
            (held,) = struct.unpack_from("=I", data, value)
        else:
            at += yes if TAKEN[code](held, value) else no


def refused(code: int) -> int:
    return seccomp.ERRNO | code


@pytest.mark.parametrize("machine", MACHINES)
def test_all_calls_are_allowed_but_those_of_the_tables(machine: str) -> None:
    numbers = MACHINES[machine].numbers
    names = {number: name for name, number in numbers.items()}
    expected = dict.fromkeys(NOT_PERMITTED, refused(errno.EPERM))
    expected |= dict.fromkeys(NOT_THERE, refused(errno.ENOSYS))
    expected["socket"] = refused(errno.EAFNOSUPPORT)  # family 0
    for number in range(1000):
        assert answer(machine, number) == expected.get(names.get(number, ""), ALLOW), number


@pytest.mark.parametrize("machine", MACHINES)
def test_calls_of_another_architecture_kill(machine: str) -> None:
    i386, arm = 0x40000003, 0x40000028
    others = {each.architecture for name, each in MACHINES.items() if name != machine}
    for architecture in (i386, arm, 0, *others):
        assert answer(machine, 1, architecture=architecture) == KILL


def test_calls_of_x32_are_not_there() -> None:
    for number in (seccomp.X32, seccomp.X32 | 1, 0x7FFFFFFF, 0xFFFFFFFE):
        assert answer("x86_64", number) == refused(errno.ENOSYS)


def test_a_call_that_a_debugger_has_cancelled_is_left_alone() -> None:
    assert answer("x86_64", -1) == ALLOW


@pytest.mark.parametrize("machine", MACHINES)
def test_the_high_half_of_an_argument_hides_nothing(machine: str) -> None:
    numbers = MACHINES[machine].numbers
    high = 0xDEADBEEF << 32
    for request in TERMINAL_INPUT.values():
        assert answer(machine, numbers["ioctl"], 0, request | high) == refused(errno.EPERM)
    assert answer(machine, numbers["ioctl"], TERMINAL_INPUT["TIOCSTI"], 0x5401) == ALLOW
    clone = numbers["clone"]
    assert answer(machine, clone, seccomp.CLONE_NEWUSER | 17 | high) == refused(errno.EPERM)
    assert answer(machine, clone, 0x003D0F00) == ALLOW  # a thread
    for family in FAMILIES.values():
        assert answer(machine, numbers["socket"], family | high) == ALLOW
    for family in (17, 38, 40, 0xFFFFFFFF):  # AF_PACKET, AF_ALG, AF_VSOCK
        assert answer(machine, numbers["socket"], family) == refused(errno.EAFNOSUPPORT)


# ── Processes ─────────────────────────────────────────────────────────────────────────────────

LOAD_IT = """
import ctypes, errno, os, sys
libc = ctypes.CDLL(None, use_errno=True)
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]
content = bytes.fromhex(sys.argv[1])
loaded = Program(len(content) // 8, content)
def check(value):
    assert value == 0, os.strerror(ctypes.get_errno())
check(libc.prctl(38, 1, 0, 0, 0))  # PR_SET_NO_NEW_PRIVS
check(libc.prctl(22, 2, ctypes.byref(loaded), 0, 0))  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
def call(number, *arguments):
    ctypes.set_errno(0)
    if libc.syscall(ctypes.c_long(number), *(ctypes.c_long(value) for value in arguments)) >= 0:
        return "allowed"
    return errno.errorcode[ctypes.get_errno()]
"""


def filtered(code: str, *arguments: str) -> str:
    """What Python code prints, in a process of its own that has loaded the filter."""
    result = subprocess.run(
        [sys.executable, "-c", LOAD_IT + code, program().hex(), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        start_new_session=True,
        stdin=subprocess.DEVNULL,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@on_this_machine
@pytest.mark.parametrize(
    ("names", "code"), [(NOT_PERMITTED, "EPERM"), (NOT_THERE, "ENOSYS")], ids=["EPERM", "ENOSYS"]
)
def test_the_calls_of_the_tables_are_refused(names: tuple[str, ...], code: str) -> None:
    """Their arguments are such that no call would do anything if it came through."""
    assert HERE is not None
    there = [name for name in names if name in HERE.numbers]
    numbers = " ".join(str(HERE.numbers[name]) for name in there)
    said = filtered(
        "for number in sys.argv[2].split(): print(call(int(number), -1, -1, -1, -1, -1))", numbers
    )
    assert dict(zip(there, said.split(), strict=True)) == dict.fromkeys(there, code)


@on_this_machine
def test_no_process_gets_a_user_namespace() -> None:
    assert HERE is not None
    said = filtered(
        "got = call(int(sys.argv[2]), 0x10000000 | 17, 0, 0, 0, 0)\n"
        "if got == 'allowed' and os.getpid() == 1: os._exit(0)\n"
        "print(got)",
        str(HERE.numbers["clone"]),
    )
    assert said == "EPERM"


@on_this_machine
def test_no_call_whose_flags_are_out_of_sight_is_there() -> None:
    """clone3, and the three of io_uring: they have these numbers on all machines."""
    said = filtered("for number in (435, 425, 426, 427): print(call(number, -1, -1, -1, -1, -1))")
    assert said.split() == ["ENOSYS"] * 4


@on_this_machine
def test_sockets_are_those_of_a_network_and_of_files() -> None:
    said = filtered("""
import socket
for family in (1, 2, 10, 16, 17, 38, 40, 29):
    try:
        socket.socket(family, socket.SOCK_DGRAM if family != 16 else socket.SOCK_RAW).close()
        print("ok")
    except OSError as error:
        print(errno.errorcode[error.errno])
a, b = socket.socketpair()
""")
    assert said.split() == ["ok"] * 4 + ["EAFNOSUPPORT"] * 4


@on_this_machine
def test_nothing_is_typed_into_a_terminal_and_its_other_requests_work() -> None:
    said = filtered(
        """
import fcntl, pty, termios
mine, other = pty.openpty()
for request in (0x5412, 0x541C):
    try:
        fcntl.ioctl(other, request, b"x")
        print("typed")
    except OSError as error:
        print(errno.errorcode[error.errno])
number = int(sys.argv[2])
letter = ctypes.c_char(b"x")
print(call(number, other, 0xdead00005412, ctypes.addressof(letter)))
print(len(termios.tcgetattr(other)))
""",
        str(HERE.numbers["ioctl"] if HERE else 0),
    )
    assert said.split() == ["EPERM", "EPERM", "EPERM", "7"]


I386 = """
#include <stdio.h>
int main(void) {
    int pid;
    __asm__ volatile("int $0x80" : "=a"(pid) : "a"(20) : "memory");
    printf("%s\\n", pid > 0 ? "allowed" : "refused");
}
"""


@needs("gcc")
@pytest.mark.skipif(platform.machine() != "x86_64", reason="only x86_64 has calls of i386")
def test_a_call_of_i386_kills_the_process(tmp_path: Path) -> None:
    (tmp_path / "old.c").write_text(I386)
    binary = tmp_path / "old"
    subprocess.run(["gcc", "-o", binary, tmp_path / "old.c"], check=True, timeout=60)
    plain = subprocess.run([binary], capture_output=True, text=True, timeout=10)
    if plain.stdout != "allowed\n":
        pytest.skip("this kernel has no calls of i386")
    said = filtered(
        "import subprocess; print(subprocess.run([sys.argv[2]]).returncode)", str(binary)
    )
    assert said == str(-signal.SIGSYS)


@on_this_machine
def test_python_its_threads_and_its_processes_work_as_ever() -> None:
    said = filtered("""
import concurrent.futures, multiprocessing, subprocess, threading
seen = []
threads = [threading.Thread(target=seen.append, args=(n,)) for n in range(8)]
[thread.start() for thread in threads]; [thread.join() for thread in threads]
print(sum(seen))
with multiprocessing.Pool(2) as pool:
    print(sum(pool.map(abs, range(-10, 0))))
with concurrent.futures.ProcessPoolExecutor(2) as pool:
    print(sum(pool.map(abs, range(10))))
print(subprocess.run(["sh", "-c", "ls / | wc -l"], capture_output=True).returncode)
""")
    assert said.split() == ["28", "55", "45", "0"]


@needs("strace")
@on_this_machine
def test_a_program_can_be_traced_by_its_own_parent(tmp_path: Path) -> None:
    plain = subprocess.run(["strace", "-o", tmp_path / "t", "true"], capture_output=True)
    if plain.returncode != 0:
        pytest.skip(f"strace does not work here: {plain.stderr.decode()}")
    said = filtered(
        "import subprocess\n"
        "words = ['strace', '-f', '-o', sys.argv[2], '-e', 'inject=getcwd:retval=0', 'sh', '-c',"
        " 'true; (true)']\n"
        "print(subprocess.run(words).returncode)",
        str(tmp_path / "trace"),
    )
    assert said == "0"
    assert "exit_group(0)" in (tmp_path / "trace").read_text()


@needs("bwrap")
@on_this_machine
def test_bubblewrap_takes_it(tmp_path: Path) -> None:
    """Loaded in its own process, and met by the program in it."""
    path = tmp_path / "filter"
    path.write_bytes(program())
    with path.open("rb") as file:
        result = subprocess.run(
            ["bwrap", "--bind", "/", "/", "--seccomp", str(file.fileno()), "unshare", "-U", "true"],
            pass_fds=[file.fileno()],
            capture_output=True,
            text=True,
            timeout=20,
        )
    if result.stderr.startswith("bwrap: "):
        pytest.skip(result.stderr)
    assert (result.returncode, result.stderr.strip()) == (
        1, f"unshare: unshare failed: {os.strerror(errno.EPERM)}",
    )  # fmt: skip
