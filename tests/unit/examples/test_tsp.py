"""The bundled function tsp: good tours, and a sentence for every input that is none."""

from __future__ import annotations

import importlib.util
import json
import math
import random
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.functions import EXAMPLES

PROGRAM = EXAMPLES / "tsp" / "tsp.py"


@pytest.fixture(scope="module")
def tsp() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tsp", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(folder: Path, coords: str | None) -> subprocess.CompletedProcess[str]:
    if coords is not None:
        (folder / "coords.csv").write_text(coords)
    return subprocess.run(
        [sys.executable, str(PROGRAM)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def length(cities: list[tuple[float, float]], tour: list[int]) -> int:
    """As TSPLIB's EUC_2D, worked out here."""
    return sum(int(math.dist(cities[tour[i - 1]], cities[tour[i]]) + 0.5) for i in range(len(tour)))


def test_berlin52_within_two_percent(tmp_path: Path) -> None:
    coords = (EXAMPLES / "tsp" / "berlin52.csv").read_text()
    result = run(tmp_path, coords)
    assert result.returncode == 0, result.stderr
    answer = json.loads((tmp_path / "result.json").read_text())
    cities = [tuple(map(float, row.split(","))) for row in coords.split()[1:]]
    assert sorted(answer["tour"]) == list(range(52))
    assert answer["length"] == length(cities, answer["tour"])  # type: ignore[arg-type]
    assert answer["length"] <= 7542 * 1.02
    assert result.stdout.splitlines()[-1] == f"length {answer['length']}"


@pytest.mark.parametrize("seed", range(4))
def test_fifty_random_cities_within_three_percent_of_a_much_longer_search(
    tsp: ModuleType, seed: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(seed)
    cities = [(chance.uniform(0, 1000), chance.uniform(0, 1000)) for _ in range(50)]
    tour, found = tsp.solve(cities, tsp.SECONDS)
    assert found == length(cities, tour)
    monkeypatch.setattr(tsp, "PATIENCE", 10 * tsp.PATIENCE)
    best = found
    for _ in range(2):
        order = chance.sample(range(50), 50)
        best = min(best, tsp.solve([cities[i] for i in order], 3.0)[1])
    assert found <= best * 1.03
    capsys.readouterr()


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, 7, 8])
def test_few_cities_are_solved_exactly(
    tsp: ModuleType, size: int, capsys: pytest.CaptureFixture[str]
) -> None:
    import itertools

    chance = random.Random(size)
    cities = [(chance.randrange(100), chance.randrange(100)) for _ in range(size)]
    tour, found = tsp.solve(cities, 1.0)
    assert sorted(tour) == list(range(size))
    orders = itertools.permutations(range(1, size))
    assert found == min(length(cities, [0, *order]) for order in orders)
    capsys.readouterr()


def test_cities_at_the_same_place(tsp: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert tsp.solve([(1.0, 1.0)] * 20, 1.0)[1] == 0
    capsys.readouterr()


@pytest.mark.parametrize(
    ("coords", "words"),
    [
        (None, "there is no input coords"),
        ("", "line 1: the header x,y is missing"),
        ("1,2\n3,4\n", "line 1: the header"),
        ("x,y\n", "no cities"),
        ("x,y\n1,2\n\nthree,4\n", "line 4: 'three,4' is not two numbers"),
        ("x,y\n1,2,3\n", "line 2"),
        ("x,y\n1,nan\n", "line 2: '1,nan' is not finite"),
    ],
)
def test_what_is_no_input(tmp_path: Path, coords: str | None, words: str) -> None:
    result = run(tmp_path, coords)
    assert result.returncode == 1
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "result.json").exists()


@pytest.mark.parametrize(
    "coords", ["X, Y\r\n1,2\r\n3,4\r\n", "\ufeffx,y\n1e3,2\n", "x,y\n0,0\n\n\n"]
)
def test_spreadsheets_write_it_like_this(tmp_path: Path, coords: str) -> None:
    assert run(tmp_path, coords).returncode == 0
