"""Writes the pages into man/man1, and removes those of commands that are gone."""

from __future__ import annotations

from tests.manpages.pages import PAGES, pages


def main() -> None:
    made = pages()
    for old in PAGES.glob("*.1"):
        if old.name not in made:
            old.unlink()
    for name, content in made.items():
        (PAGES / name).write_text(content)


main()
