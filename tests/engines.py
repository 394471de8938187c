"""Engines that tests run on: those marked `each_engine`, one by one or as a module, run on each.

What is `local_only` among them says why; what is so elsewhere is in tests/slurm.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from tests.slurmcluster import SlurmCluster


@dataclass(frozen=True, slots=True)
class Engine:
    """Of a server."""

    name: str = "local"
    options: dict[str, str] = field(default_factory=dict)


LOCAL = Engine()
SLURM = Engine("slurm", {"probe": "no"})
ENGINES = (LOCAL, SLURM)


def engines_of(test: pytest.Function) -> tuple[Engine, ...]:
    """Those that a test runs on."""
    marked = {marker.name for marker in test.iter_markers()}
    return ENGINES if "each_engine" in marked and "local_only" not in marked else ENGINES[:1]


@contextmanager
def on_cluster(cluster: SlurmCluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Servers that begin within the block use it; what they leave running ends with it."""
    monkeypatch.setenv("SLURM_CONF", str(cluster.conf))
    yield
    cluster.clear()
