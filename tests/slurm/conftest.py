"""Servers on the cluster of this process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import trio

from tests.contract.conftest import Site
from tests.engines import SLURM, on_cluster
from tests.slurmcluster import SlurmCluster


@pytest.fixture
async def site(
    root: Path, nursery: trio.Nursery, slurm: SlurmCluster, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Site]:
    """A server of joe's functions."""
    with on_cluster(slurm, monkeypatch):
        site = Site(root, nursery, SLURM)
        await site.up()
        yield site
        await site.down()


@pytest.fixture
async def http(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    """Its API."""
    async with site.http() as client:
        yield client
