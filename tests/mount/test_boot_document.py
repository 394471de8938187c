"""docs/BOOT.md: every command in it, under a real systemd, for root and for a user."""

from __future__ import annotations

import os
import re
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pifopfs.cli.systemd import HIDDEN
from pifopfs.server.removal import remove
from tests.fakeservice import until
from tests.functions import write_function
from tests.mount.boot import LOGGED, PROJECT, TARGET, TARGETS, Machine, machine

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="a machine apart needs root")

TEXT = (PROJECT / "docs" / "BOOT.md").read_text()

MANAGER = """
[Service]
Type=notify
User=joe
Delegate=yes
Environment=HOME=/home/joe XDG_RUNTIME_DIR=/run/user/{uid}
Environment=SYSTEMD_UNIT_PATH=/home/joe/.config/systemd/user:/run/user-units
ExecStart=/lib/systemd/systemd --user --unit=basic.target
"""
"""As user@.service has it, without a login."""


def commands(heading: str, kind: str = "sh") -> list[str]:
    """The blocks of this kind below a heading."""
    section = TEXT.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    blocks = re.findall(rf"```{kind}\n(.*?)```", section, re.DOTALL)
    assert blocks, heading
    return blocks


@pytest.fixture(scope="module")
def booted() -> Iterator[Machine]:
    """With the user joe, who has a systemd of his own."""
    root = Path(tempfile.mkdtemp(prefix="pf-", dir="/tmp"))
    try:
        with machine(root, "systemd") as made:
            uid = made.out("useradd -m joe; id -u joe").strip()
            for name in TARGETS:
                made.write(f"/run/user-units/{name}.target", TARGET)
            made.write("/run/user-units/service.d/log.conf", LOGGED.replace("/run", "/home/joe"))
            made.write("/etc/systemd/system/joe.service", MANAGER.format(uid=uid))
            made.out(f"install -d -o joe -m 700 /run/user/{uid}; systemctl daemon-reload")
            yield made
    finally:
        remove(root)


def run(booted: Machine, script: str, *, joe: bool = False) -> str:
    """A block of the document, by root or by joe, in a folder of his."""
    script = re.sub("(systemd (?:un)?install)", r"\1 --executable /usr/bin/pifopfs", script)
    if not joe:
        return booted.out(f"set -e; cd /srv\n{script}")
    uid = int(booted.out("id -u joe"))
    env = {"HOME": "/home/joe", "XDG_RUNTIME_DIR": f"/run/user/{uid}"}
    return booted.out(f"set -e; cd\n{script}", user=uid, env=env)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def serve(booted: Machine) -> None:
    """The server of the document, and what makes it the service of joe/tsp."""
    port = free_port()
    functions = Path(f"/proc/{booted.pid}/root/srv/pifopfs")
    write_function(functions / "joe" / "tsp", "cat a.txt > r.txt")
    booted.write("/etc/pifopfs/server.env", f"OPTIONS=--port {port}\n")
    if any(Path(sys.executable).resolve().is_relative_to(folder) for folder in HIDDEN):
        reachable = "/etc/systemd/system/pifopfs-server.service.d/python.conf"
        seen = f"ProtectHome=no\nBindReadOnlyPaths={PROJECT}\n"  # it may be below /tmp
        booted.write(reachable, f"[Service]\n{seen}")
    block, _ = commands("A server")
    assert 'Status: "serving joe/tsp on https://localhost' in run(booted, block)
    booted.out("install -m 644 /var/lib/private/pifopfs-server/tls/cert.pem /etc/pifopfs")
    booted.out("chmod 600 /srv/tsp.key; install -o joe -m 600 /srv/tsp.key /home/joe")
    config = f'endpoint = "https://localhost:{port}"\nca_file = "/etc/pifopfs/cert.pem"\n'
    booted.write("/etc/pifopfs/config.toml", config)


JOB = """
cd {at}/executions
mkdir j
cp /etc/hostname j/input/a
echo 1 > j/start
cat j/wait
rmdir j
"""


def mounted(booted: Machine, at: str) -> bool:
    return f" {at} fuse.pifopfs " in booted.out("cat /proc/1/mounts")


def test_every_command_does_what_the_document_says(booted: Machine) -> None:
    install, mount = commands("A mount for the machine")
    run(booted, install)
    serve(booted)
    assert run(booted, mount) == "executions\nfunction.json\n"
    assert run(booted, JOB.format(at="/mnt/pifopfs/joe/tsp"), joe=True) == "normal\n"

    (drop_in,) = commands("A mount for the machine", "ini")
    booted.write("/etc/systemd/system/pifopfs@joe-tsp.service.d/override.conf", drop_in)
    encrypt = "systemd-creds encrypt --name=pifopfs-key tsp.key /etc/pifopfs/keys/joe-tsp.cred"
    assert f"`{encrypt}`" in TEXT
    run(booted, f"{encrypt}; rm /etc/pifopfs/keys/joe-tsp; systemctl daemon-reload")
    run(booted, "systemctl restart pifopfs@joe-tsp; ls /mnt/pifopfs/joe/tsp")

    booted.out("systemctl start joe")
    install, mount = commands("A user's mount")
    run(booted, install, joe=True)
    assert run(booted, mount, joe=True) == "executions\nfunction.json\n"
    assert run(booted, JOB.format(at="pifopfs/joe/tsp"), joe=True) == "normal\n"
    status = run(booted, "systemctl --user status pifopfs@joe-tsp", joe=True)
    assert "joe/tsp on /home/joe/pifopfs/joe/tsp: 0 executions, 0 running" in status
    (settings,) = commands("A user's mount", "ini")
    booted.write("/home/joe/.config/pifopfs/mounts/joe-tsp.env", settings)
    booted.out("chown -R joe: /home/joe/.config")
    run(booted, "systemctl --user restart pifopfs@joe-tsp", joe=True)
    assert run(booted, "stat -c %a tsp/function.json", joe=True) == "444\n"
    run(booted, "systemctl --user stop pifopfs@joe-tsp", joe=True)

    _, serving = commands("A server")
    booted.write("/home/joe/.config/pifopfs/server.env", f"OPTIONS=--port {free_port()}\n")
    write_function(Path(f"/proc/{booted.pid}/root/home/joe/functions/jo/fn"), "cat a.txt > r.txt")
    booted.out("chown -R joe: /home/joe/functions")
    run(booted, serving, joe=True)
    status = run(booted, "systemctl --user status pifopfs-server", joe=True)
    assert "serving jo/fn on https://localhost" in status
    run(booted, "systemctl --user stop pifopfs-server", joe=True)

    run(booted, "systemctl stop pifopfs@joe-tsp")  # its names are those of the next
    (by_hand,) = commands("/etc/fstab")
    run(booted, by_hand)
    (lines,) = commands("/etc/fstab", "fstab")
    at_boot, when_used = lines.splitlines()
    booted.write("/etc/fstab", at_boot)
    run(booted, "mount -a; ls /mnt/tsp; umount /mnt/tsp")
    booted.write("/etc/fstab", when_used)
    run(booted, "systemctl daemon-reload; systemctl start mnt-tsp.automount; ls /mnt/tsp")
    assert mounted(booted, "/mnt/tsp")
    run(booted, "systemctl stop mnt-tsp.automount mnt-tsp.mount")

    (back,) = commands("Taking it back")
    run(booted, f"systemctl start pifopfs@joe-tsp\n{back}")
    assert not mounted(booted, "/mnt/pifopfs/joe/tsp")
    left = booted.out("ls /etc/systemd/system/pifopfs*.service /usr/sbin/mount.fuse.* 2>&1 || :")
    assert left.count("cannot access") == 2, left
    until(lambda: booted.run("pgrep", "-u", "root", "-f", "bin/pifopfs").returncode == 1)
