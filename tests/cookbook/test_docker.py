"""A container on a mount of the host: before and after it, with and without the right to look."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cookbook.conftest import Reader
from tests.cookbook.container import make_docker, on_a_host, why_not
from tests.cookbook.recipes import recipe

RECIPE = recipe("Docker: bind mounts")
MOUNT, RUN = RECIPE.commands
SOMEBODY = ('"$(id -u):$(id -g)"', "1000:1000")
LOOK = (
    "sh box",
    """sh -c 'until ls /mounts/tsp | grep -q function; do sleep 0.1; done
           echo there > seen
           while ls /mounts/tsp | grep -q function; do sleep 0.1; done
           echo gone > seen
           until ls /mounts/tsp | grep -q function; do sleep 0.1; done'""",
)
UMOUNT = "pifopfs umount --stop-jobs ~/mounts/tsp\n"


@pytest.fixture
def host(root: Path) -> Iterator[Reader]:
    """A machine that runs containers, with the recipe's files."""
    reader = Reader(root / "home")
    make_docker(reader.home / ".local" / "bin" / "docker", root / "docker")
    reason = why_not(reader.env)
    if reason is not None:
        pytest.skip(reason)
    RECIPE.save(reader.home / "project")
    (reader.home / "project" / "cities.csv").write_text("x,y\n0,0\n0,30\n40,30\n40,0\n")
    yield reader
    reader.clean_up()


def test_a_container_calls_the_function(host: Reader) -> None:
    on_a_host(MOUNT + RUN + UMOUNT, host.env)
    assert json.loads((host.home / "project" / "tour.json").read_text())["length"] == 140


def test_mounts_go_and_come_in_a_container_that_runs(host: Reader) -> None:
    seen = "until grep -q {} seen; do sleep 0.1; done\n"
    container = RUN.replace(*LOOK).rstrip() + " &\n"
    gone = f"{MOUNT}{container}{seen.format('there')}{UMOUNT}{seen.format('gone')}"
    on_a_host(f"touch seen\n{gone}{MOUNT}wait $!\n{UMOUNT}", host.env)


def test_another_user_of_the_container_needs_allow_other(host: Reader) -> None:
    container = RUN.replace(*SOMEBODY).replace("sh box", "ls /mounts/tsp")
    closed = on_a_host(f"{MOUNT}{container.rstrip()} && exit 3\n{UMOUNT}", host.env)
    assert "Permission denied" in closed.stderr
    opened = MOUNT.rstrip() + " -o allow_other,uid=1000,gid=1000\n"
    assert "function.json" in on_a_host(opened + container + UMOUNT, host.env).stdout


def test_a_folder_that_is_not_shared_shows_nothing_of_what_is_mounted_later(host: Reader) -> None:
    """Docker refuses it; podman goes on, and its container never sees the mount."""
    look = "sh -c 'echo > up; until [ -e mounted ]; do sleep 0.1; done; ls /mounts/tsp'"
    container = RUN.replace("sh box", look).rstrip() + " &\n"
    before = f"mkdir -p ~/mounts/tsp\n{container}until [ -e up ]; do sleep 0.1; done\n"
    script = f"{before}{MOUNT}touch mounted\nwait $!\n{UMOUNT}"
    assert on_a_host(script, host.env, propagation="private").stdout == ""
