"""The cookbook as a whole: no recipe without a test."""

from __future__ import annotations

import re
from pathlib import Path

from tests.cookbook.recipes import COOKBOOK, headings

TESTS = Path(__file__).parent


def test_every_recipe_is_in_the_list_and_has_a_test() -> None:
    recipes = headings()
    tests = "".join(path.read_text() for path in [*TESTS.glob("test_*.py"), TESTS / "conftest.py"])
    assert [title for title in recipes if f'recipe("{title}")' not in tests] == []
    listed = re.findall(r"^\d+\. \[(.*)\]\(#.*\)$", COOKBOOK.read_text(), re.MULTILINE)
    assert ["Before you begin", *listed] == recipes
