"""The units under a real systemd, as the first process of a machine apart."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pifopfs.server.removal import remove
from tests.fakeservice import FakeService, until
from tests.mount.boot import PROJECT, Machine, machine

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="a machine apart needs root")

AT = "/mnt/pifopfs/joe/tsp"
UNIT = "pifopfs@joe-tsp"
QUICK = "[Service]\nRestartSec=100ms\nWatchdogSec=2\n"
"""A test cannot wait for two minutes."""


@pytest.fixture(scope="module")
def booted() -> Iterator[Machine]:
    """With the user joe."""
    root = Path(tempfile.mkdtemp(prefix="pf-", dir="/tmp"))
    try:
        with machine(root, "systemd") as made:
            made.write("/etc/systemd/system/pifopfs@.service.d/quick.conf", QUICK)
            made.out("useradd -m joe; systemctl daemon-reload")
            yield made
    finally:
        remove(root)


@pytest.fixture
def service(booted: Machine) -> Iterator[FakeService]:
    """A fresh one at the same place, and no unit that has failed."""
    with FakeService(booted.root / "s.sock") as fake:
        endpoint = f"PIFOPFS_ENDPOINT=unix:{booted.root}/s.sock\n"
        booted.write("/etc/pifopfs/mounts/joe-tsp.env", endpoint)
        yield fake
        booted.out(f"systemctl stop {UNIT}; systemctl reset-failed {UNIT} 2>/dev/null || :")
        booted.out("rm -rf /var/lib/pifopfs/* /etc/pifopfs")


def shown(booted: Machine, name: str, unit: str = UNIT) -> str:
    return booted.out(f"systemctl show -P {name} {unit}").strip()


def mounted(booted: Machine, at: str = AT) -> bool:
    return f" {at} fuse.pifopfs " in booted.out("cat /proc/1/mounts")


def test_the_start_waits_for_the_mount_which_all_see_and_gives_it_the_key(
    booted: Machine, service: FakeService
) -> None:
    booted.write("/etc/pifopfs/keys/joe-tsp", "apikey_secret\n")
    booted.out("chmod 600 /etc/pifopfs/keys/joe-tsp")
    assert booted.out(f"systemctl start {UNIT}; ls {AT}") == "executions\nfunction.json\n"
    assert mounted(booted)
    assert set(service.keys) == {"Bearer apikey_secret"}
    assert shown(booted, "StatusText") == f"joe/tsp on {AT}: 0 executions, 0 running"
    assert booted.out("ls /var/lib/pifopfs /var/cache/pifopfs") == (
        "/var/cache/pifopfs:\nmounts\n\n/var/lib/pifopfs:\nmounts\n"
    )
    process = shown(booted, "MainPID")
    environment = booted.out(f"cat /proc/{process}/environ /proc/{process}/cmdline")
    assert "secret" not in environment


def test_without_a_key_of_its_own_it_goes_without(booted: Machine, service: FakeService) -> None:
    booted.out(f"systemctl start {UNIT}")
    assert set(service.keys) == {None}


def test_a_stop_unmounts_what_is_busy_and_lets_what_is_written_through(
    booted: Machine, service: FakeService
) -> None:
    booted.out(f"systemctl start {UNIT}; mkdir {AT}/executions/j")
    booted.out(f"cd {AT}/executions/j; echo 1 > input/coords; sleep 60 >/dev/null 2>&1 &")
    booted.out(f"systemctl stop {UNIT}; pkill sleep")
    assert not mounted(booted)
    assert shown(booted, "Result") == "success"
    assert service.only().inputs == {"coords": b"1\n"}
    booted.out(f"systemctl start {UNIT}")
    assert booted.out(f"ls {AT}/executions") == "j\n"


@pytest.mark.parametrize("number", ["KILL", "STOP"])
def test_a_daemon_that_dies_or_is_stuck_is_started_again_on_the_same_mountpoint(
    booted: Machine, service: FakeService, number: str
) -> None:
    booted.out(f"systemctl start {UNIT}")
    process = shown(booted, "MainPID")
    booted.out(f"kill -{number} {process}")
    until(lambda: shown(booted, "NRestarts") == "1")
    until(lambda: shown(booted, "ActiveState") == "active")
    assert shown(booted, "MainPID") != process
    assert booted.out(f"ls {AT}") == "executions\nfunction.json\n"
    assert booted.out("cat /proc/1/mounts").count(f" {AT} ") == 1


def test_what_died_leaves_no_dead_mount_when_it_is_not_started_again(
    booted: Machine, service: FakeService
) -> None:
    booted.write(f"/run/systemd/system/{UNIT}.service.d/no.conf", "[Service]\nRestart=no\n")
    booted.out(f"systemctl daemon-reload; systemctl start {UNIT}")
    booted.out(f"kill -KILL {shown(booted, 'MainPID')}")
    until(lambda: shown(booted, "ActiveState") == "failed")
    assert not mounted(booted)
    booted.out(f"rm -r /run/systemd/system/{UNIT}.service.d; systemctl daemon-reload")


def test_a_mount_of_somebody_else_on_the_mountpoint_is_left_alone(
    booted: Machine, service: FakeService
) -> None:
    line = f"mount -t fuse.pifopfs joe/other {AT} -o endpoint=unix:{booted.root}/s.sock"
    booted.out(f"mkdir -p {AT}; {line}")
    assert booted.run("systemctl", "start", UNIT).returncode == 1
    assert mounted(booted)
    assert shown(booted, "ExecMainStatus") == "6"
    assert shown(booted, "ActiveState") == "failed"
    booted.out(f"umount {AT}")


def test_a_service_that_is_down_is_tried_until_it_is_back(
    booted: Machine, service: FakeService
) -> None:
    service.down()
    assert booted.run("systemctl", "start", UNIT).returncode == 1
    until(lambda: int(shown(booted, "NRestarts")) > 1)
    service.up()
    until(lambda: shown(booted, "ActiveState") == "active")
    assert mounted(booted)


def test_an_automount_of_fstab_mounts_when_somebody_looks(
    booted: Machine, service: FakeService
) -> None:
    options = f"_netdev,noauto,x-systemd.automount,endpoint=unix:{booted.root}/s.sock"
    booted.write("/etc/fstab", f"joe/tsp /mnt/auto fuse.pifopfs {options} 0 0\n")
    booted.out("mkdir -p /mnt/auto; systemctl daemon-reload; systemctl start mnt-auto.automount")
    assert not mounted(booted, "/mnt/auto")
    assert booted.out("ls /mnt/auto") == "executions\nfunction.json\n"
    assert mounted(booted, "/mnt/auto")
    booted.out("systemctl stop mnt-auto.mount")
    assert not mounted(booted, "/mnt/auto")
    booted.out("ls /mnt/auto/executions; systemctl stop mnt-auto.automount")
    assert not mounted(booted, "/mnt/auto")


def test_the_examples_mount_when_somebody_looks(booted: Machine, service: FakeService) -> None:
    for kind in ("mount", "automount"):
        text = (PROJECT / "systemd" / "examples" / f"mnt-tsp.{kind}").read_text()
        key = "api_key_file=/etc/pifopfs/tsp.key"
        assert kind == "automount" or key in text
        text = text.replace(key, f"endpoint=unix:{booted.root}/s.sock")
        booted.write(f"/etc/systemd/system/mnt-tsp.{kind}", text)
    booted.out("systemctl daemon-reload; systemctl enable --now mnt-tsp.automount")
    assert booted.out("stat -c %U /mnt/tsp/executions") == "joe\n"
    booted.out(
        "systemctl disable --now mnt-tsp.automount mnt-tsp.mount; rm /etc/systemd/system/mnt-*"
    )
    assert not mounted(booted, "/mnt/tsp")


def test_systemd_finds_nothing_wrong_with_the_units(booted: Machine) -> None:
    booted.out(
        "pifopfs systemd install --user --executable /usr/bin/pifopfs", env={"HOME": "/root"}
    )
    system = "/etc/systemd/system"
    names = f"{system}/{UNIT}.service {system}/pifopfs-server.service {system}/mnt-x.mount"
    example = (PROJECT / "systemd" / "examples" / "mnt-tsp.mount").read_text()
    booted.write(f"{system}/mnt-x.mount", example.replace("/mnt/tsp", "/mnt/x"))
    example = (PROJECT / "systemd" / "examples" / "mnt-tsp.automount").read_text()
    booted.write(f"{system}/mnt-x.automount", example.replace("/mnt/tsp", "/mnt/x"))
    names += f" {system}/mnt-x.automount"
    check = "systemd-analyze verify --man=no --recursive-errors=no"
    result = booted.run("sh", "-c", f"{check} {names}")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    user = "/root/.config/systemd/user"
    names = f"{user}/{UNIT}.service {user}/pifopfs-server.service"
    env = {
        "HOME": "/root",
        "XDG_RUNTIME_DIR": "/run",
        "SYSTEMD_UNIT_PATH": f"{user}:/run/systemd/system",
    }
    result = booted.run("sh", "-c", f"{check} --user {names}", env=env)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
