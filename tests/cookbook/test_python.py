"""Python, with nothing but files."""

from __future__ import annotations

from tests.cookbook.conftest import Reader
from tests.cookbook.recipes import recipe

RECIPE = recipe("Python, or anything with open()")


def test_a_python_program_calls_the_function(reader: Reader) -> None:
    reader.begin()
    RECIPE.save(reader.home)
    assert reader.out(*RECIPE.commands) == "40\n"
    assert reader.out("ls ~/tsp/executions") == ""
