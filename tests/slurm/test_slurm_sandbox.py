"""A program on a node has nothing of the cluster's. All that it may not do anywhere is tried on a
node, too: tests/sandbox.
"""

from __future__ import annotations

import httpx
import pytest

from pifopfs.machine import NONE
from tests.contract.conftest import Site
from tests.contract.test_limits import ended
from tests.slurmcluster import SlurmCluster


@pytest.mark.parametrize("network", [False, True])
async def test_a_program_cannot_speak_to_the_cluster(
    site: Site, http: httpx.AsyncClient, slurm: SlurmCluster, network: bool
) -> None:
    site.root.chmod(0o755)
    socket = slurm.folder / "run" / "munge.socket"
    assert socket.exists()
    script = f"""
        for path in {socket} {slurm.conf} {slurm.folder} {site.state}; do
            [ ! -e $path ] || echo sees $path
        done
        export SLURM_CONF={slurm.conf}
        timeout 2 munge -n -S {socket} && echo has a credential
        timeout 2 sbatch --wrap true && echo has submitted a job
        exit 0
    """
    seen = await ended(site, http, f"exec 2>/dev/null\n{script}", sandbox={"network": network})
    assert (seen["end_reason"], seen["exit_code"], seen["log"]) == ("normal", 0, "")


async def test_a_program_sees_nothing_of_the_files_that_its_server_reads(
    site: Site, http: httpx.AsyncClient
) -> None:
    script = "for fd in /proc/[0-9]*/fd/*; do readlink $fd; done | grep -v -e pipe: -e /dev/null"
    seen = await ended(site, http, f"{script}; exit 0")
    assert (seen["end_reason"], seen["exit_code"]) == ("normal", 0)
    assert "engine" not in seen["log"]
    assert str(site.root) not in seen["log"]


async def test_a_line_that_ends_as_those_of_dos_do_is_an_argument_as_any_other(
    site: Site, http: httpx.AsyncClient
) -> None:
    command = ["sh", "-c", 'printf %s "$1"', "sh", "a\r\n'b'\r"]
    seen = await ended(site, http, "", command=command)
    assert (seen["end_reason"], seen["log"]) == ("normal", "a\r\n'b'\r")


async def test_without_a_sandbox_too_a_program_has_an_environment_of_its_own(
    site: Site, http: httpx.AsyncClient
) -> None:
    await site.down()
    site.isolation = NONE
    await site.up()
    names = [
        line.partition("=")[0] for line in (await ended(site, http, "env"))["log"].splitlines()
    ]
    assert "PATH" in names
    assert [name for name in names if name.startswith(("SLURM", "SBATCH", "MUNGE"))] == []
