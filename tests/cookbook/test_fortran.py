"""The legacy program calls the function with OPEN, READ and WRITE alone."""

from __future__ import annotations

from itertools import pairwise
from math import hypot

from tests.cookbook.conftest import Reader
from tests.cookbook.recipes import recipe

RECIPE = recipe("A legacy Fortran program")


def test_a_legacy_program_calls_the_function(reader: Reader) -> None:
    reader.begin()
    RECIPE.save(reader.home)
    first, *rows = reader.out(*RECIPE.commands).splitlines()
    cities = [tuple(map(float, line.split())) for line in RECIPE.files["cities.dat"].splitlines()]
    order = [int(row.split()[0]) - 1 for row in rows]
    assert sorted(order) == list(range(len(cities)))
    places = [cities[city] for city in order]
    assert places == [tuple(map(float, row.split()[1:])) for row in rows]
    tour = pairwise([*places, places[0]])
    assert int(first.split()[1]) == sum(int(hypot(a - c, b - d) + 0.5) for (a, b), (c, d) in tour)
    assert reader.out("ls ~/tsp/executions") == ""


def test_the_legacy_program_fails_where_the_function_does(reader: Reader) -> None:
    reader.begin()
    RECIPE.save(reader.home)
    (reader.home / "cities.dat").write_text("")
    result = reader.sh(*RECIPE.commands, check=False)
    assert result.returncode != 0
    assert "no cities below the header" in reader.out("cat ~/tsp/executions/fortran/log")
