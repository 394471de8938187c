"""The nightly run: by cron itself, with and without a mount, and beside one still under way."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cookbook.conftest import Reader
from tests.cookbook.recipes import recipe
from tests.fakeservice import until

RECIPE = recipe("A cron job")

CRON = """
set -e
umask 022
chmod 1730 spool
mount --bind spool /var/spool/cron/crontabs
mount -t tmpfs none /run
{install}
exec faketime -f '@2026-03-01 02:59:58' cron -f
"""
"""cron with a spool folder of its own, just before it is three o'clock."""


@pytest.fixture
def nightly(reader: Reader) -> Path:
    """The recipe's folder, as the reader fills it."""
    RECIPE.save(reader.home)
    reader.sh(RECIPE.commands[0].splitlines()[0])  # mkdir -p ~/tsp
    folder = reader.home / "nightly"
    (folder / "orders.csv").write_text("x,y\n0,0\n0,30\n40,30\n40,0\n")
    (folder / "run").chmod(0o700)
    return folder


def begin_cron(reader: Reader) -> subprocess.Popen[bytes]:
    """cron, with the recipe's table, which names this test's folders beside the home."""
    folders = [f"{name}={reader.env[name]}" for name in reader.env if name.startswith("XDG_")]
    table = "\n".join([*folders, f"HOME={reader.home}", RECIPE.files["crontab"]])
    (reader.home / "crontab").write_text(table)
    (reader.home / "spool").mkdir()
    script = CRON.format(install="\n".join(RECIPE.commands))
    return subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", script],
        cwd=reader.home, env=reader.env, start_new_session=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.mark.skipif(os.getuid() != 0, reason="only root can run cron")
def test_cron_runs_it_and_it_mounts_what_is_not_mounted(reader: Reader, nightly: Path) -> None:
    cron = begin_cron(reader)
    try:
        until((nightly / "tour.json").exists, deadline=30, what="the nightly run")
        until(lambda: (nightly / "log").read_text().endswith(" done\n"), what="its end in the log")
        assert json.loads((nightly / "tour.json").read_text())["length"] == 140
        assert (nightly / "log").read_text().splitlines()[0].endswith(" begins")
    finally:
        # The mount is in cron's namespace, and goes with its last process
        there = ["nsenter", f"--mount=/proc/{cron.pid}/ns/mnt"]
        umount = [*there, "pifopfs", "umount", "--stop-jobs", str(reader.home / "tsp")]
        subprocess.run(umount, env=reader.env, check=False, timeout=30)
        os.killpg(cron.pid, signal.SIGTERM)
        cron.wait(timeout=10)


def test_it_mounts_again_where_the_daemon_has_died(reader: Reader, nightly: Path) -> None:
    reader.begin()
    record = next((reader.home / "run" / "pifopfs" / "mounts").glob("*.json"))
    pid = int(json.loads(record.read_text())["pid"])
    os.kill(pid, signal.SIGKILL)
    until(lambda: not Path(f"/proc/{pid}").exists(), what="the daemon is dead")
    assert "Transport endpoint" in reader.sh("ls ~/tsp", check=False).stderr
    reader.sh("~/nightly/run")
    assert (nightly / "log").read_text().endswith(" done\n")


def test_it_does_nothing_while_the_last_night_still_runs(reader: Reader, nightly: Path) -> None:
    command = RECIPE.files["crontab"].splitlines()[-1].split(maxsplit=5)[5]
    with (nightly / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert reader.sh(command, check=False).returncode == 1
        assert not (nightly / "log").exists()
    reader.sh(command)
    reader.sh(command)  # the next night: what it mounted is there
    assert (nightly / "log").read_text().count(" done\n") == 2


def test_a_failed_night_says_why_in_its_log_and_leaves_the_last_result(
    reader: Reader, nightly: Path
) -> None:
    (nightly / "tour.json").write_text("yesterday's")
    (nightly / "orders.csv").write_text("nonsense\n")
    result = reader.sh("~/nightly/run", check=False)
    assert (result.returncode, result.stdout, result.stderr) == (1, "", "")
    assert (nightly / "tour.json").read_text() == "yesterday's"
    log = (nightly / "log").read_text()
    assert "line 1: the header x,y is missing" in log
    assert "done" not in log
