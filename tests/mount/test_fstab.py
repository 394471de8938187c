"""mount(8), umount(8) and /etc/fstab, for root and for users: the real ones, on a machine apart."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pifopfs.server.removal import remove
from tests.fakeservice import FakeService, refuse, until
from tests.mount.boot import Machine, machine

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="a machine apart needs root")

AT = "/mnt/tsp"


@pytest.fixture(scope="module")
def apart() -> Iterator[Machine]:
    """With the users joe and eve, and /mnt/tsp of joe's."""
    root = Path(tempfile.mkdtemp(prefix="pf-", dir="/tmp"))
    try:
        with machine(root) as made:
            made.out(f"useradd -m joe; useradd -m eve; install -d -o joe {AT}")
            yield made
    finally:
        remove(root)


@pytest.fixture
def service(apart: Machine) -> Iterator[FakeService]:
    """A fresh one at the same place, which users reach, too. Nothing stays mounted."""
    with FakeService(apart.root / "s.sock") as fake:
        (apart.root / "s.sock").chmod(0o666)
        yield fake
        apart.run("pifopfs", "umount", "--force", AT)
        apart.out(f"umount -lq {AT} || :; rm -rf /var/lib/pifopfs /home/joe/.local; : >/etc/fstab")


def mount(apart: Machine, *options: str, fails: int = 0, flags: str = "") -> str:
    """By hand; what is said on standard error. It ends with the code `fails`."""
    line = ["mount", *flags.split(), "-t", "fuse.pifopfs", "joe/tsp", AT, "-o"]
    result = apart.run(*line, ",".join((f"endpoint=unix:{apart.root}/s.sock", *options)))
    assert result.returncode == fails, result.stderr
    assert bool(mounts(apart)) == (not fails and "f" not in flags)
    return result.stderr


def mounts(apart: Machine) -> list[str]:
    """Their lines in the kernel's table."""
    return [line for line in apart.out("cat /proc/mounts").splitlines() if AT in line]


def fstab(apart: Machine, *options: str) -> None:
    endpoint = f"endpoint=unix:{apart.root}/s.sock"
    apart.write("/etc/fstab", f"joe/tsp {AT} fuse.pifopfs {','.join((endpoint, *options))} 0 0\n")


def daemons(apart: Machine) -> list[str]:
    return apart.run("pgrep", "-f", "mount.fuse.pifopfs").stdout.split()


def test_mount_and_umount_by_hand(apart: Machine, service: FakeService) -> None:
    assert mount(apart) == ""
    (line,) = mounts(apart)
    assert line.startswith(f"joe/tsp {AT} fuse.pifopfs rw,nosuid,nodev,noatime,")
    apart.out(f"cd {AT}/executions; mkdir j; echo 1 > j/input/coords; echo 1 > j/start")
    assert service.only().inputs == {"coords": b"1\n"}
    apart.out(f"umount {AT}")
    until(lambda: not daemons(apart))


def test_a_line_of_fstab_with_all_that_such_lines_have(
    apart: Machine, service: FakeService
) -> None:
    apart.write("/keys/a, b/key", "apikey_secret\n")
    fstab(
        apart, "_netdev,nofail,noauto,x-systemd.automount,defaults,user",
        "x-systemd.idle-timeout=1min",
        'comment="x,y",exec,ro,umask=022,relatime,log_level=debug',
        'api_key_file="/keys/a,\\040b/key"',
    )  # fmt: skip
    apart.out("chmod 600 /keys/*/key")
    apart.out("mount -a")  # noauto
    assert mounts(apart) == []
    apart.out(f"mount {AT}")
    assert mounts(apart)[0].startswith(f"joe/tsp {AT} fuse.pifopfs ro,nosuid,nodev,noatime,")
    assert set(service.keys) == {"Bearer apikey_secret"}
    assert apart.out(f"stat -c %a {AT}/function.json") == "444\n"
    assert "Read-only" in apart.run("mkdir", f"{AT}/executions/j").stderr


def test_mount_a_mounts_once(apart: Machine, service: FakeService) -> None:
    fstab(apart, "_netdev")
    apart.out("mount -a; mount -a")
    assert len(mounts(apart)) == 1
    apart.out("umount -a -t fuse.pifopfs")
    assert mounts(apart) == []


def test_names_are_the_same_at_boot_and_by_hand_and_where_services_have_them(
    apart: Machine, service: FakeService
) -> None:
    fstab(apart)
    apart.out(f"mount {AT}; mkdir {AT}/executions/j")
    assert apart.out("ls /var/lib/pifopfs /var/cache/pifopfs") == (
        "/var/cache/pifopfs:\nmounts\n\n/var/lib/pifopfs:\nmounts\n"
    )
    assert apart.out("stat -c %a /run/pifopfs") == "700\n"
    login = {"HOME": "/root", "XDG_RUNTIME_DIR": "/run/user/0"}
    apart.out("install -d -m 700 /run/user/0")
    apart.out(f"pifopfs forget {AT}/executions/j; mkdir {AT}/executions/k", env=login)
    apart.out(f"pifopfs umount {AT}", env=login)
    assert daemons(apart) == []  # it was waited for
    apart.out(f"mount {AT}", env=login)
    assert apart.out(f"ls {AT}/executions") == "k\n"
    assert apart.out("find /run/user/0 -type f") == ""


def test_folders_that_are_named_go_before_those_of_the_system(
    apart: Machine, service: FakeService
) -> None:
    apart.out("mkdir -p /srv/state")
    env = {"XDG_CACHE_HOME": "/srv/cache"}
    fstab(apart, "state_dir=/srv/state")
    apart.out(f"mount {AT}", env=env)
    assert apart.out("ls /srv/state /srv/cache/pifopfs") == (
        "/srv/cache/pifopfs:\nmounts\n\n/srv/state:\nmounts\n"
    )


@pytest.mark.parametrize(
    ("options", "code", "word"),
    [
        ("nope", 1, "-o nope is not known"),
        ("wait_outage=soon", 1, "wait-outage"),
        ("remount", 1, "umount it first"),
        ("foreground", 1, "foreground"),
        ("state_dir=/dev/null/x", 2, "/dev/null"),
        ("api_key_file=/nowhere", 32, "/nowhere"),
        ("endpoint=unix:/nowhere", 32, "cannot be reached"),
    ],
)
def test_what_is_wrong_is_said_with_a_code_of_mount(
    apart: Machine, service: FakeService, options: str, code: int, word: str
) -> None:
    assert word in mount(apart, options, fails=code)


def test_a_service_that_refuses_or_a_busy_mountpoint_is_a_failed_mount(
    apart: Machine, service: FakeService
) -> None:
    service.fault("function", refuse(403, "who are you?"))
    assert "who are you?" in mount(apart, fails=32)
    service.heal()
    apart.out(f"touch {AT}/x")
    assert "is not empty" in mount(apart, fails=32)
    apart.out(f"rm {AT}/x")
    mount(apart)
    again = apart.run("mount", "-t", "fuse.pifopfs", "joe/other", AT)
    assert again.returncode == 32
    assert "mounted already" in again.stderr


def test_the_flags_that_mount_passes_on(apart: Machine, service: FakeService) -> None:
    assert mount(apart, "nope", flags="-s") == ""
    apart.out(f"umount {AT}")
    mount(apart, flags="-f")
    assert "is not known" in mount(apart, "nope", flags="-f", fails=1)
    mount(apart, flags="-n -r")
    assert " ro," in mounts(apart)[0]
    for flag, option in (("-r", "ro"), ("-w", "rw")):
        said = apart.out(f"mount.fuse.pifopfs -v -f {flag} joe/tsp {AT} -t fuse.pifopfs")
        assert said == f"mount.fuse.pifopfs: pifopfs mount -o {option} -- joe/tsp {AT}\n"
    assert apart.run("mount.fuse.pifopfs", "joe/tsp").returncode == 1


def test_a_mount_in_another_name_space(apart: Machine, service: FakeService) -> None:
    apart.out(
        "unshare --mount --propagation private sleep 600 >/dev/null 2>&1 & echo $! > /run/other"
    )
    other = apart.out("cat /run/other").strip()
    apart.out(
        f"until [ $(readlink /proc/{other}/ns/mnt) != $(readlink /proc/1/ns/mnt) ]; do :; done"
    )
    endpoint = f"endpoint=unix:{apart.root}/s.sock"
    apart.out(f"mount -N {other} -t fuse.pifopfs joe/tsp {AT} -o {endpoint}")
    assert mounts(apart) == []
    assert "function.json" in apart.out(f"nsenter -t {other} -m ls {AT}")
    apart.out(f"nsenter -t {other} -m umount {AT}; kill {other}")
    until(lambda: not daemons(apart))


def ids(apart: Machine, name: str) -> int:
    return int(apart.out(f"id -u {name}"))


def test_a_user_mounts_and_unmounts_what_fstab_lets_him(
    apart: Machine, service: FakeService
) -> None:
    joe, eve = ids(apart, "joe"), ids(apart, "eve")
    home = {"HOME": "/home/joe"}
    fstab(apart, "noauto,user")
    assert "not yours" in apart.run("mount", AT, user=eve, env={"HOME": "/home/eve"}).stderr
    apart.out(f"mount {AT}", user=joe, env=home)
    assert f"user_id={joe}" in mounts(apart)[0]
    assert ",noexec," in mounts(apart)[0]
    apart.out(f"mkdir {AT}/executions/j", user=joe)
    assert apart.out("ls /home/joe/.local/state/pifopfs") == "mounts\n"
    assert "superuser" in apart.run("umount", AT, user=eve).stderr
    apart.out(f"umount {AT}", user=joe, env=home)
    until(lambda: not daemons(apart))


def test_root_mounts_for_a_user(apart: Machine, service: FakeService) -> None:
    joe, eve = ids(apart, "joe"), ids(apart, "eve")
    fstab(apart, "allow_other,uid=joe,gid=joe")
    apart.out("mount -a")
    apart.out(f"mkdir {AT}/executions/j; cp /etc/passwd {AT}/executions/j/input/coords", user=joe)
    assert apart.out(f"stat -c %U:%G {AT}/executions/j") == "joe:joe\n"
    assert "Permission denied" in apart.run("ls", f"{AT}/executions", user=eve).stderr
