"""A loop in the shell starts many, and `pifopfs wait` waits for them."""

from __future__ import annotations

import json

from tests.cookbook.conftest import Reader
from tests.cookbook.recipes import recipe

RECIPE = recipe("A shell loop, and pifopfs wait")


def test_all_are_started_and_waited_for(reader: Reader) -> None:
    reader.begin()
    for number in (1, 2, 3):
        (reader.home / f"city{number}.csv").write_text(f"x,y\n0,0\n0,{number}\n")
    ended = reader.out(*RECIPE.commands).splitlines()
    assert sorted(ended) == [
        f"normal\t{reader.home}/tsp/executions/city{number}" for number in (1, 2, 3)
    ]
    for number in (1, 2, 3):
        result = json.loads((reader.home / f"city{number}.json").read_text())
        assert result["length"] == 2 * number
    assert reader.out("ls ~/tsp/executions") == ""


def test_one_that_fails_is_told_and_kept(reader: Reader) -> None:
    reader.begin()
    (reader.home / "city1.csv").write_text("x,y\n0,0\n0,1\n")
    (reader.home / "city2.csv").write_text("this is no table\n")
    assert reader.sh(*RECIPE.commands, check=False).returncode == 10
    assert reader.out("ls ~/tsp/executions") == "city1\ncity2\n"
