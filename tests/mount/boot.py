"""A machine for tests of what happens at boot: this one's files, in a root of its own.

Mounts, processes and whatever is written in it stay in it, and go with it: name spaces, and a
layer of memory over the root. Its first process sleeps, or is a real systemd.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fakeservice import until

PROJECT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
CGROUPS = Path("/sys/fs/cgroup")
NOT_JOINED = ("cpuset", "freezer")
"""Control groups that systemd makes none of; those of the first take nobody as they come."""

SET_UP = """
set -eu
root=$1 project=$2 prefix=$3 base=$4 init=$5
layers=$root/layers machine=$root/machine
mount --make-rprivate /
mkdir -p "$layers" "$machine"
mount -t tmpfs tmpfs "$layers"
mkdir "$layers/new" "$layers/work"
mount -t overlay overlay -o "lowerdir=/,upperdir=$layers/new,workdir=$layers/work" "$machine"
cd "$machine"
mount -t proc proc proc
mount --rbind /dev dev
mount -t sysfs sysfs sys
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
mknod -m 666 run/fuse c 10 229 # as udev would make it
mount --bind run/fuse dev/fuse
for folder in "$project" "$prefix" "$base" "$root"; do
    case $folder in /usr | /usr/*) continue ;; esac
    mkdir -p ".$folder"
    mount --bind "$folder" ".$folder"
done
for folder in "$project" "$prefix" "$base" "$root"; do
    while [ "$folder" != / ]; do
        folder=$(dirname "$folder")
        find ".$folder" -maxdepth 0 -not -perm -o=x -exec chmod a+x {} +
    done
done
rm -rf var/lib/pifopfs var/cache/pifopfs etc/systemd/system etc/systemd/user
if [ "$init" = systemd ]; then
    mkdir -p run/systemd
    cp -r "$root/units" run/systemd/system
    if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
        mount -t cgroup2 cgroup2 sys/fs/cgroup
    else
        mount -t tmpfs tmpfs sys/fs/cgroup
        mkdir sys/fs/cgroup/systemd sys/fs/cgroup/unified
        mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd
        mount -t cgroup2 cgroup2 sys/fs/cgroup/unified
    fi
fi
mkdir old
pivot_root . old
cd /
umount -l old
mount --make-rshared / # as a real systemd has it
if [ "$init" = systemd ]; then
    exec env -i container=pifopfs-test "SYSTEMD_UNIT_PATH=$6" SYSTEMD_LOG_TARGET=console \
        /lib/systemd/systemd --unit=basic.target
fi
exec sleep infinity
"""
"""Ancestors of what tests need are opened for other users: it may be somewhere below /root."""

UNIT_PATH = "/run/systemd/system:/etc/systemd/system:/run/systemd/generator"
"""Of the system's own units none is known: some would reach out of the machine."""
TARGETS = ("basic", "local-fs", "multi-user", "network-online", "remote-fs", "remote-fs-pre",
           "shutdown", "sysinit", "umount", "network", "nss-user-lookup", "default")  # fmt: skip
TARGET = "[Unit]\nDefaultDependencies=no\n"
LOGGED = "[Service]\nStandardOutput=append:/run/log-%n\nStandardError=inherit\n"


class Machine:
    """One, running."""

    def __init__(self, root: Path, pid: int) -> None:
        self.root = root
        self.pid = pid
        """Of its first process, as seen here."""

    def run(
        self,
        *command: str,
        user: int = 0,
        env: Mapping[str, str] | None = None,
        timeout: float = 40,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in it, with hardly an environment: that of the boot has no HOME."""
        line = ["nsenter", f"--target={self.pid}", "--all", "--root", "--wd"]
        if user:
            line += ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
        return subprocess.run(
            [*line, "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C",
             *(f"{name}={value}" for name, value in (env or {}).items()), *command],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )  # fmt: skip

    def out(self, script: str, **more: object) -> str:
        """What a shell script prints that must succeed."""
        result = self.run("sh", "-c", script, **more)  # type: ignore[arg-type]
        assert result.returncode == 0, f"{script}\n{result.stdout}\n{result.stderr}"
        return result.stdout

    def write(self, path: str, content: str) -> None:
        """A file in it."""
        self.out(f"mkdir -p {shlex.quote(str(Path(path).parent))}")
        inside = Path(f"/proc/{self.pid}/root{path}")
        inside.write_text(content)


@contextmanager
def machine(
    root: Path, init: str = "sleep", units: Mapping[str, str] | None = None
) -> Iterator[Machine]:
    """`units`: by their names, for a systemd. `pifopfs` is installed in it, with its helper."""
    root.chmod(0o755)
    _write_units(root / "units", units or {})
    arguments = [str(root), str(PROJECT), sys.prefix, sys.base_prefix, init, UNIT_PATH]
    flags = ["--mount", "--pid", "--fork", "--kill-child", "--ipc", "--uts"]
    with (
        _cgroups(root.name if init == "systemd" else None) as joined,
        (root / "init.log").open("wb") as log,
    ):
        process = subprocess.Popen(
            [*joined, "unshare", *flags, "--cgroup", "sh", "-c", SET_UP, "sh", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        try:
            made = Machine(root, until(lambda: _first(process, init, root / "init.log")))
            if init == "systemd":
                until(lambda: _booted(process, made, root / "init.log"))
            made.out(f"ln -sf {BIN}/pifopfs {BIN}/mount.fuse.pifopfs /usr/bin")
            made.out("pifopfs systemd install --executable /usr/bin/pifopfs")
            yield made
        finally:
            process.kill()
            process.wait(10)
            for name in ("layers", "machine", "units"):
                shutil.rmtree(root / name, ignore_errors=True)


def _write_units(folder: Path, units: Mapping[str, str]) -> None:
    (folder / "service.d").mkdir(parents=True)
    (folder / "service.d" / "log.conf").write_text(LOGGED)
    for name in TARGETS:
        (folder / f"{name}.target").write_text(TARGET)
    for name, content in units.items():
        (folder / name).write_text(content)


def _first(parent: subprocess.Popen[bytes], init: str, log: Path) -> int | None:
    """The first process of the machine, once it is what it is to be."""
    _check(parent, log)
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
    for pid in children:
        if (Path("/proc") / pid / "comm").read_text().strip() == init:
            return int(pid)
    return None


def _booted(parent: subprocess.Popen[bytes], made: Machine, log: Path) -> bool:
    _check(parent, log)
    return made.run("systemctl", "is-system-running").stdout in ("running\n", "degraded\n")


def _check(parent: subprocess.Popen[bytes], log: Path) -> None:
    """Skips the test where there can be no machine, as in a container without its rights."""
    if parent.poll() is not None:
        pytest.skip(f"a machine apart cannot be run here: {log.read_text()}")


@contextmanager
def _cgroups(name: str | None) -> Iterator[list[str]]:
    """A control group of the machine's own in each hierarchy that it uses; how one joins them.

    None of this name: it needs none.
    """
    made = [path / f"test-{name}" for path in _own_groups() if name and path.is_dir()]
    script = "".join(f"echo $$ > {path}/cgroup.procs; " for path in made)
    try:
        try:
            for path in made:
                path.mkdir()
        except OSError as error:
            pytest.skip(f"a systemd cannot be run here: {error}")
        yield ["sh", "-c", f'{script}exec "$@"', "sh"]
    finally:
        for path in made:
            _remove(path)


def _own_groups() -> Iterator[Path]:
    """Of this process, in each hierarchy."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers.startswith("name="):
            yield CGROUPS / controllers.removeprefix("name=") / path[1:]
        elif controllers and controllers not in NOT_JOINED:
            yield CGROUPS / controllers / path[1:]
        elif not controllers:
            pure = (CGROUPS / "cgroup.controllers").exists()
            yield (CGROUPS if pure else CGROUPS / "unified") / path[1:]


def _remove(group: Path) -> None:
    """A control group and those in it, when the last process has left it."""
    for folder, _, _ in os.walk(group, topdown=False):

        def gone(path: Path = Path(folder)) -> bool:
            with contextlib.suppress(OSError):  # somebody is in it
                path.rmdir()
            return not path.exists()

        until(gone)
