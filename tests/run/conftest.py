"""`pifopfs run` on the fake service, and on folders."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fakeservice import FakeService, until
from tests.functions import write_function
from tests.run.harness import Shell, alive


@pytest.fixture
def shell(root: Path, service: FakeService) -> Iterator[Shell]:
    """On the fake service, with a file `cities`."""
    shell = Shell(root, "--endpoint", service.endpoint)
    shell.write("cities", b"x,y\n1,2\n")
    yield shell
    shell.clean_up()


@pytest.fixture
def here(root: Path) -> Iterator[Shell]:
    """On this machine. Its server puts its sockets back where they are removed: it has to end."""
    shell = Shell(root)
    yield shell
    shell.clean_up()
    until(lambda: not alive(f"XDG_RUNTIME_DIR={root}/run"))


@pytest.fixture
def make_function(root: Path) -> Callable[..., Path]:
    """Writes the folder `fn`."""
    return lambda script="true", **more: write_function(root / "fn", script, **more)
