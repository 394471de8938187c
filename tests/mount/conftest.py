"""Mounts on the fake service and on folders."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fakeservice import FakeService
from tests.functions import write_function
from tests.mount.harness import Mount


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
    """Writes the folder `fn`."""
    return lambda script="true", **more: write_function(root / "fn", script, **more)
