"""What the README shows is run as it stands there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.functions import EXAMPLES
from tests.mount.harness import Mount, environment

PROJECT = Path(__file__).parents[2]
README = (PROJECT / "README.md").read_text()


def block(heading: str, language: str) -> str:
    """The first block of code in a language below a heading."""
    section = README.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    found = re.search(rf"```{language}\n(.*?)```", section, re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture
def env(root: Path) -> dict[str, str]:
    """A home of its own, and the command on the path."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return environment(root) | {"HOME": str(root), "PATH": path}


def test_the_tour(root: Path, env: dict[str, str]) -> None:
    (root / "pifopfs").symlink_to(PROJECT / "pifopfs")
    script = block("A tour, without an account", "sh")
    try:
        result = subprocess.run(
            ["bash", "-ec", script],
            cwd=root, env=env, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert result.returncode == 0, result.stderr
        assert result.stdout.startswith("normal\n52 cities")
        assert '"length": ' in result.stdout
    finally:
        subprocess.run(["fusermount3", "-uqz", str(root / "tsp")], check=False)


def test_the_makefile(root: Path) -> None:
    mount = Mount(root, "example:tsp")
    mount.path = root / "tsp"
    mount.path.mkdir()
    with mount:
        (root / "Makefile").write_text(block("In a Makefile", "make"))
        (root / "berlin.csv").write_bytes((EXAMPLES / "tsp" / "berlin52.csv").read_bytes())
        command = ["make", "-C", str(root), "berlin.tour", f"HOME={root}"]
        subprocess.run(command, check=True, timeout=60, capture_output=True)
        assert json.loads((root / "berlin.tour").read_text())["length"] >= 7542
        assert mount.out("ls executions") == ""


def test_the_function_file_and_the_library(root: Path, env: dict[str, str]) -> None:
    folder = root / "fns" / "joe" / "tsp"
    folder.mkdir(parents=True)
    (folder / "function.json").write_text(block("Functions in folders", "json"))
    (folder / "tsp.py").write_bytes((EXAMPLES / "tsp" / "tsp.py").read_bytes())
    (root / "solve.py").write_text(block("The client library", "python"))
    (root / "own").mkdir(mode=0o700)
    pifopfs = [sys.executable, "-m", "pifopfs"]
    server = subprocess.Popen(
        [*pifopfs, "serve", str(root / "fns"), "--socket", str(root / "own" / "s")],
        env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        assert server.stdout is not None
        endpoint = server.stdout.readline().split(" on ")[1].strip()
        cities = str(EXAMPLES / "tsp" / "berlin52.csv")
        solve = [sys.executable, str(root / "solve.py"), "joe/tsp", endpoint]
        subprocess.run([*solve, cities, str(root / "out")], env=env, check=True, timeout=60)
        assert json.loads((root / "out").read_text())["length"] >= 7542
    finally:
        server.terminate()
        server.communicate(timeout=20)
