"""Fixtures: mounts on the fake service and on folders, in short paths (sockets need them)."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.mount.fakeservice import FakeService
from tests.mount.harness import Mount


@pytest.fixture
def root() -> Iterator[Path]:
    """A short temporary folder."""
    folder = Path(tempfile.mkdtemp(prefix="pf-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def service(root: Path) -> Iterator[FakeService]:
    """The fake service, up."""
    with FakeService(root / "s.sock") as fake:
        yield fake


@pytest.fixture
def mount(root: Path, service: FakeService) -> Iterator[Mount]:
    """A mount on the fake service."""
    with Mount(root, "joe/tsp", "--endpoint", service.endpoint) as mounted:
        yield mounted


@pytest.fixture
def job(mount: Mount) -> Mount:
    """… with an execution `j`."""
    mount.sh("mkdir executions/j")
    return mount


@pytest.fixture
def make_function(root: Path) -> Callable[..., Path]:
    """Writes a function's folder."""

    def make(script: str, **more: object) -> Path:
        import json

        folder = root / "fn"
        folder.mkdir(exist_ok=True)
        (folder / "run.sh").write_text(script)
        description = {
            "id": "fn",
            "command": ["sh", "run.sh"],
            "input": [{"id": "a", "path": "a.txt"}],
            "output": [{"id": "r", "path": "r.txt"}],
            **more,
        }
        (folder / "function.json").write_text(json.dumps(description))
        return folder

    return make
