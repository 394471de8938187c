"""What a mount needs of the system: the device, the helper, its configuration, the kernel."""

from __future__ import annotations

import errno
import os
import platform
import re
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from pifopfs.doctor.findings import Finding, ok, problem, skipped, warning
from pifopfs.doctor.programs import version_of
from pifopfs.doctor.subject import Subject
from pifopfs.doctor.surroundings import container, status_of_process
from pifopfs.errors import FuseMissing

DEVICE = Path("/dev/fuse")
NUMBER = (10, 229)
"""Of the device, the same on every Linux."""
HELPER = "fusermount3"
CONFIGURATION = Path("/etc/fuse.conf")
OLDEST_LINUX = (5, 3)
"""It brought pidfd_open, by which `umount` waits for the daemon."""
CAP_SYS_ADMIN = 21
IN_CONTAINER = "start the container with --device /dev/fuse --cap-add SYS_ADMIN"


def device(_: Subject) -> Iterator[Finding]:
    """Opening it does nothing: only a mount that is told its number does."""
    try:
        status = DEVICE.stat()
    except FileNotFoundError:
        yield problem(f"{DEVICE} is missing", _mend_device("modprobe fuse, as root"))
        return
    if not stat.S_ISCHR(status.st_mode) or _number(status.st_rdev) != NUMBER:
        yield problem(
            f"{DEVICE} is not the FUSE device",
            _mend_device(f"rm {DEVICE} && mknod -m 666 {DEVICE} c 10 229, as root"),
        )
        return
    try:
        os.close(os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        yield problem(f"{DEVICE} cannot be opened: {error.strerror}", _mend_open(error.errno))
    else:
        yield ok(f"{DEVICE} can be opened")


def _number(number: int) -> tuple[int, int]:
    return os.major(number), os.minor(number)


def _mend_device(mend: str) -> str:
    return IN_CONTAINER if container() else mend


def _mend_open(number: int | None) -> str:
    if number == errno.EACCES:
        return f"chmod 666 {DEVICE}, as root (udev gives it this mode where fuse3 is installed)"
    if number == errno.EPERM:
        return (
            f"the control group forbids the device: {IN_CONTAINER}; for a service of systemd, "
            "DeviceAllow=/dev/fuse rw"
        )
    return "modprobe fuse, as root"


def helper(_: Subject) -> Iterator[Finding]:
    """libfuse mounts with it for all but root; `umount` and a dead mount's clearing need it too."""
    path = shutil.which(HELPER)
    if path is None:
        yield problem(
            f"{HELPER} is not in PATH",
            f"{FuseMissing.advice} Or add its folder to PATH.",
        )
        return
    version = version_of(path)
    if version is None:
        yield problem(f"{path} does not run", "apt-get install --reinstall fuse3")
        return
    found = ok(f"{path}, version {version}")
    yield found if os.geteuid() == 0 else _for_users(Path(path)) or found


def _for_users(path: Path) -> Finding | None:
    """What keeps it from giving an ordinary user the right to mount."""
    status = path.stat()
    if not status.st_mode & stat.S_ISUID or status.st_uid != 0:
        return problem(
            f"{path} is not setuid root, so only root can mount",
            f"chown root {path} && chmod u+s {path}, as root; or apt-get install --reinstall fuse3",
        )
    if os.statvfs(path).f_flag & os.ST_NOSUID:
        return problem(
            f"{path} is on a filesystem mounted with nosuid, so only root can mount",
            "install fuse3 on the system's own filesystem, or remount that one with suid",
        )
    if status_of_process("NoNewPrivs") == "1":
        return problem(
            f"this process may gain no privileges (no_new_privs), so {HELPER} cannot mount",
            "leave out --security-opt no-new-privileges, or NoNewPrivileges=yes of the service",
        )
    return None


def right_to_mount(_: Subject) -> Iterator[Finding]:
    """Root needs the capability itself; for others it must be within reach of the helper."""
    root = os.geteuid() == 0
    name = "CapEff" if root else "CapBnd"
    text = status_of_process(name)
    if text is None:
        yield skipped("the capabilities of this process are not told: is /proc mounted?")
    elif int(text, 16) >> CAP_SYS_ADMIN & 1:
        yield ok("mounting is allowed (CAP_SYS_ADMIN)")
    else:
        who = "root here" if root else f"{HELPER} here"
        yield problem(
            f"{who} has no right to mount (no CAP_SYS_ADMIN)",
            f"{IN_CONTAINER}; for a service of systemd, leave out CapabilityBoundingSet=",
        )


def allow_other(_: Subject) -> Iterator[Finding]:
    """Consent of the administrator, which libfuse asks of all but root."""
    if os.geteuid() == 0:
        yield ok("root needs no consent for -o allow_other")
        return
    mend = (
        f"if others are to use a mount: add the line user_allow_other to {CONFIGURATION}, as root"
    )
    try:
        lines = CONFIGURATION.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        lines = []
    except PermissionError:
        yield warning(
            f"{CONFIGURATION} cannot be read, so -o allow_other is refused",
            f"chmod a+r {CONFIGURATION}, as root",
        )
        return
    if any(line.strip() == "user_allow_other" for line in lines):
        yield ok(f"{CONFIGURATION} has user_allow_other")
    else:
        yield warning(f"-o allow_other is refused: no user_allow_other in {CONFIGURATION}", mend)


def kernel(_: Subject) -> Iterator[Finding]:
    """Whether it knows FUSE, and is new enough."""
    release = platform.release()
    version = tuple(int(part) for part in re.findall(r"\d+", release)[:2])
    if version < OLDEST_LINUX:
        yield problem(
            f"Linux {release} is too old",
            f"Linux {'.'.join(map(str, OLDEST_LINUX))} or newer is needed",
        )
    elif b"\tfuse\n" in Path("/proc/filesystems").read_bytes():
        yield ok(f"Linux {release} has FUSE")
    else:
        yield problem(f"Linux {release} has no FUSE loaded", "modprobe fuse, as root")
