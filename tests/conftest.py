"""What every kind of test uses."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pifopfs.server.removal import remove
from tests.engines import LOCAL, SLURM, Engine, engines_of, on_cluster
from tests.fakeservice import FakeService
from tests.slurmcluster import SlurmCluster, missing


@pytest.fixture
def root() -> Iterator[Path]:
    """A short temporary folder: the paths of sockets have a limit."""
    folder = Path(tempfile.mkdtemp(prefix="pf-", dir="/tmp"))
    yield folder
    remove(folder)  # its programs may have closed some of it


@pytest.fixture
def service(root: Path) -> Iterator[FakeService]:
    """The fake service, up."""
    with FakeService(root / "s.sock") as fake:
        yield fake


# ── Engines ──────────────────────────────────────────────────────────────────────────────────────


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "engine" in metafunc.fixturenames:
        engines = engines_of(metafunc.definition)
        if len(engines) > 1:
            metafunc.parametrize("engine", engines, indirect=True, ids=lambda engine: engine.name)


@pytest.fixture
def engine(
    request: pytest.FixtureRequest, root: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Engine]:
    """What the server of a test runs programs on. `root` outlasts them."""
    engine: Engine = getattr(request, "param", LOCAL)
    if engine == SLURM:
        with on_cluster(request.getfixturevalue("slurm"), monkeypatch):
            yield engine
    else:
        yield engine


@pytest.fixture(scope="session")
def slurm() -> Iterator[SlurmCluster]:
    """A cluster for all tests of this process; they leave it as it is."""
    with a_cluster() as cluster:
        yield cluster


@pytest.fixture
def own_slurm() -> Iterator[SlurmCluster]:
    """A cluster for a test that breaks it, or fills it."""
    with a_cluster() as cluster:
        yield cluster


def a_cluster() -> SlurmCluster:
    """Skips where there can be none."""
    reason = missing()
    if reason:
        pytest.skip(reason)
    return SlurmCluster()
