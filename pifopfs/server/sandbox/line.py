"""The command line of bubblewrap, as data: an allow-list of what a run needs.

Required is bubblewrap 0.8.0, which brought --disable-userns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

JOB = "/job"
TMP, SHM = "/tmp", "/dev/shm"  # noqa: S108  # the sandbox's own
USER = 65534
"""The number of the program's user and group, as it sees them."""
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PASSWD = f"user:x:{USER}:{USER}::{JOB}:/bin/sh\n".encode()
GROUP = f"user:x:{USER}:\n".encode()

KEYS = Path("/proc/keys")
"""It tells the names of the kernel's keys of this server's user."""
STDBUF = Path("/usr/libexec/coreutils/libstdbuf.so")

NAMESPACES = ("user", "ipc", "pid", "uts", "cgroup")
TOP = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
ETC = (
    "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "localtime", "nsswitch.conf",
    "fonts",
)  # fmt: skip
ETC_NETWORK = (
    "resolv.conf", "hosts", "services", "protocols", "gai.conf", "ssl/certs", "ca-certificates",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """What the line of one run is made from."""

    job: str
    """Where bubblewrap finds the run's folder."""
    read_only: Mapping[str, str]
    """Paths in the sandbox, and where bubblewrap finds them."""
    environment: Mapping[str, str]
    network: bool
    in_memory: int
    """Bytes that fit into /tmp, and as many into /dev/shm."""
    passwd: int
    group: int
    seccomp: int
    status: int
    """Descriptors: of files with that content, and of the pipe for bubblewrap's reports."""

    def options(self) -> list[str]:
        """Everything before the command."""
        return [
            *_isolation(network=self.network),
            *_system(network=self.network),
            *self._made_up(),
            *self._run(),
            *self._variables(),
            *("--seccomp", str(self.seccomp), "--json-status-fd", str(self.status)),
        ]

    def _made_up(self) -> list[str]:
        """What is not this machine's: /etc/passwd, /proc, /dev, /tmp."""
        in_memory = ("--perms", "1777", "--size", str(self.in_memory), "--tmpfs")
        file = ("--perms", "0444", "--ro-bind-data")
        return [
            *(*file, str(self.passwd), "/etc/passwd", *file, str(self.group), "/etc/group"),
            *("--proc", "/proc", "--ro-bind", "/proc/sys", "/proc/sys", *_covered(KEYS)),
            *("--dev", "/dev", "--remount-ro", "/dev"),
            *(*in_memory, TMP, *in_memory, SHM),
            *("--dir", "/run", "--dir", "/var", "--symlink", f"..{TMP}", "/var/tmp"),  # noqa: S108
        ]

    def _run(self) -> list[str]:
        extra = [
            word
            for inside, outside in self.read_only.items()
            for word in ("--ro-bind", outside, inside)
        ]
        return [*extra, "--bind", self.job, JOB, "--remount-ro", "/", "--chdir", JOB]

    def _variables(self) -> list[str]:
        pairs = (("--setenv", name, value) for name, value in self.environment.items())
        return ["--clearenv", *(word for pair in pairs for word in pair)]


def _isolation(*, network: bool) -> list[str]:
    unshared = NAMESPACES if network else (*NAMESPACES, "net")
    return [
        *(f"--unshare-{name}" for name in unshared),
        *("--uid", str(USER), "--gid", str(USER), "--hostname", "sandbox"),
        *("--disable-userns", "--cap-drop", "ALL", "--new-session", "--die-with-parent"),
    ]


def _system(*, network: bool) -> list[str]:
    """This machine's programs and libraries, and no other files of it."""
    etc = (*ETC, *ETC_NETWORK) if network else ETC
    return [
        *("--ro-bind", "/usr", "/usr"),
        *_top(TOP),
        *(word for name in etc for word in ("--ro-bind-try", f"/etc/{name}", f"/etc/{name}")),
    ]


def _covered(path: Path) -> list[str]:
    """A file of the kernel's, hidden."""
    return ["--ro-bind", "/dev/null", str(path)] if path.exists() else []


def _top(names: Iterable[str]) -> list[str]:
    """/bin and the like: links into /usr on most systems, folders on some."""
    words: list[str] = []
    for path in (Path("/", name) for name in names):
        if path.is_symlink():
            words += ["--symlink", str(path.readlink()), str(path)]
        elif path.is_dir():
            words += ["--ro-bind", str(path), str(path)]
    return words


def environment(own: Mapping[str, str]) -> dict[str, str]:
    """The variables of a program in the sandbox; `own` are its function's.

    What it prints comes at once: Python, Fortran, and C with the system's library hold back nothing
    that is a line.
    """
    return {"PATH": PATH, "HOME": JOB, "TMPDIR": TMP, **unbuffered(), **own}


def unbuffered() -> dict[str, str]:
    """Variables by which programs print to a pipe as they would to a terminal."""
    variables = {
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "GFORTRAN_UNBUFFERED_PRECONNECTED": "y",
    }
    if STDBUF.exists():
        variables |= {"LD_PRELOAD": str(STDBUF), "_STDBUF_O": "L", "_STDBUF_E": "L"}
    return variables
