"""The types of options that several commands have."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from pifopfs.cli.candidates import engines
from pifopfs.machine import ISOLATIONS, LOG_FORMATS, LOG_LEVELS
from pifopfs.server.limits import MOST

FOLDER = click.Path(file_okay=False, path_type=Path)
LOG_LEVEL = click.Choice(LOG_LEVELS)
LOG_FORMAT = click.Choice(LOG_FORMATS)
FILE = click.Path(dir_okay=False, path_type=Path)
ISOLATION = click.Choice(ISOLATIONS)


class Amount(click.FloatRange):
    """A number within a range, which not-a-number is not: every comparison lets it pass."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        amount = super().convert(value, param, ctx)
        if math.isnan(amount):
            self.fail(f"{value!r} is not a number.", param, ctx)
        return amount


SECONDS = MEGABYTES = MINUTES = Amount(min=0, min_open=True, max=MOST, max_open=True)
NUMBER = click.IntRange(min=1, max=int(MOST), max_open=True)

ISOLATION_HELP = "What keeps programs apart (bubblewrap). none: for functions that you trust."
ENGINE_HELP = "Where programs run (local): an engine by its name, such as slurm."
ENGINE_OPTION_HELP = "What the engine is told, such as partition=short; repeatable."


def on_engine(function: Callable[..., None], scope: str = "") -> Callable[..., None]:
    """Add these options to a command: how programs run, and where. `scope`: which programs."""
    for option in (
        click.option(
            "--engine-option",
            "engine_options",
            multiple=True,
            metavar="NAME=VALUE",
            help=f"{scope}{ENGINE_OPTION_HELP}",
        ),
        click.option(
            "--engine", metavar="NAME", shell_complete=engines, help=f"{scope}{ENGINE_HELP}"
        ),
        click.option("--isolation", type=ISOLATION, help=f"{scope}{ISOLATION_HELP}"),
    ):
        function = option(function)
    return function


def of_folder(function: Callable[..., None]) -> Callable[..., None]:
    """The same, for a command that calls functions of folders, too."""
    return on_engine(function, "For a folder. ")
