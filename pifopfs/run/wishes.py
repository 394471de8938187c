"""What goes in and what is wanted: `NAME=FILE`, checked before anything is asked of the service."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pifopfs.errors import OptionInvalid
from pifopfs.wire import FileSpec, Function

STANDARD = "-"
"""In place of a file: standard input or output."""


@dataclass(frozen=True, slots=True)
class Wish:
    """An input or output of the function, and a file of ours."""

    name: str
    path: Path | None
    """None: standard input or output."""

    @property
    def shown(self) -> str:
        """The file, as the user gave it."""
        return STANDARD if self.path is None else str(self.path)


def parse_inputs(texts: Sequence[str]) -> list[Wish]:
    """Those of `-i`. Raises OptionInvalid."""
    wishes = [_parse("-i", text) for text in texts]
    _check_once("-i", "an input", (wish.name for wish in wishes))
    _check_once("-i", "standard input", (wish.shown for wish in wishes if wish.path is None))
    return wishes


def parse_outputs(texts: Sequence[str]) -> list[Wish]:
    """Those of `-o`. Raises OptionInvalid."""
    wishes = [_parse("-o", text) for text in texts]
    _check_once("-o", "an output", (wish.name for wish in wishes))
    _check_once("-o", "one file", map(_file, wishes))
    return wishes


def _parse(option: str, text: str) -> Wish:
    name, equals, file = text.partition("=")
    if not (name and equals and file):
        raise OptionInvalid(f"{option} {text!r} is not of the form NAME=FILE")
    return Wish(name, None if file == STANDARD else Path(file))


def _file(wish: Wish) -> str:
    """What is one for two names of a file."""
    return STANDARD if wish.path is None else os.path.realpath(wish.path)


def _check_once(option: str, what: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise OptionInvalid(f"{option}: {what} is given twice: {name}")
        seen.add(name)


def check_declared(function: Function, inputs: Sequence[Wish], outputs: Sequence[Wish]) -> None:
    """Whether the function has these, where it tells which it has. Raises OptionInvalid."""
    name = f"{function.author}/{function.id}"
    _check_known(f"{name} has no input", inputs, function.input)
    _check_known(f"{name} has no output", outputs, function.output)


def _check_known(
    problem: str, wishes: Sequence[Wish], declared: tuple[FileSpec, ...] | None
) -> None:
    if declared is None:
        return
    names = [spec.id for spec in declared]
    for wish in wishes:
        if wish.name not in names:
            known = ", ".join(names) or "none"
            raise OptionInvalid(f"{problem} {wish.name!r}; there are: {known}")
