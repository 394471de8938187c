"""What is built once, for all tests and all processes that run them."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.packaging.system import ROOT, System

QUICK = {"DEB_BUILD_OPTIONS": "noopt", "DPKG_DEB_COMPRESSOR_TYPE": "gzip"}


@dataclass(frozen=True)
class Built:
    """The files that scripts/package makes."""

    folder: Path

    @property
    def wheel(self) -> Path:
        return self._only("*.whl")

    @property
    def sdist(self) -> Path:
        return self._only("*.tar.gz")

    @property
    def deb(self) -> Path:
        return self._only("*.deb")

    def _only(self, pattern: str) -> Path:
        (path,) = self.folder.glob(pattern)
        return path


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Everything, in less time: without the compiler's optimizations, hardly compressed."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "built"
    folder.mkdir(exist_ok=True)
    done = folder / "done"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # whoever comes second finds it done
        if not done.exists():
            result = subprocess.run(
                [str(ROOT / "scripts" / "package"), str(folder)],
                env=os.environ | QUICK,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=600,
                check=False,
            )
            assert result.returncode == 0, result.stdout
            done.touch()
    return Built(folder)


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system of its own for the tests of a module."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a system of its own")
    place = tmp_path_factory.mktemp("system")
    made = System(place)
    yield made
    made.close()
    shutil.rmtree(place)
