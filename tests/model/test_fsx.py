"""Random operations on an input do what they do on a file of the local disk."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakeservice import FakeService
from tests.model import fsx
from tests.mount.harness import Mount
from tests.soak import SOAK, amount

DEADLINE = amount(240, 7_200)


@pytest.mark.timeout(DEADLINE + 60)
def test_an_input_is_a_file_like_one_of_the_local_disk(root: Path, service: FakeService) -> None:
    seed = random.randrange(2**32) if SOAK else 1985
    local = root / "local"
    with Mount(root, "joe/tsp", "--endpoint", service.endpoint) as mount:
        mount.sh("mkdir executions/j")
        coords = mount.path / "executions" / "j" / "input" / "coords"
        paths, operations = [str(coords), str(local)], amount(5_000, 100_000)
        done = subprocess.run(
            [sys.executable, "-I", fsx.__file__, *paths, str(seed), str(operations)],
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
        assert done.returncode == 0, f"seed {seed}\n{done.stdout}\n{done.stderr}"
        mount.sh("echo 1 > executions/j/start")
        assert service.only().inputs["coords"] == local.read_bytes()
