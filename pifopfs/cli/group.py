"""The command `pifopfs`, which the others belong to, and what several of them use."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from functools import partial
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, NoReturn

import click

from pifopfs import __version__, errors
from pifopfs import config as configuration
from pifopfs.cli.reporting import EXIT_CODE_HELP, exit_code, fail, only_leaf, sentence
from pifopfs.machine import ISOLATIONS, private_folder
from pifopfs.mount import daemon
from pifopfs.server.limits import MOST

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
LOG_SIZE = 4 * 2**20

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
FOLDER = click.Path(file_okay=False, path_type=Path)
LOG_LEVEL = click.Choice(configuration.LOG_LEVELS)
FILE = click.Path(dir_okay=False, path_type=Path)
ISOLATION = click.Choice(ISOLATIONS)


class Amount(click.FloatRange):
    """A number within a range, which not-a-number is not: every comparison lets it pass."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        amount = super().convert(value, param, ctx)
        if math.isnan(amount):
            self.fail(f"{value!r} is not a number.", param, ctx)
        return amount


MEGABYTES = MINUTES = Amount(min=0, min_open=True, max=MOST, max_open=True)
NUMBER = click.IntRange(min=1, max=int(MOST), max_open=True)

ISOLATION_HELP = "What keeps programs apart (bubblewrap). none: for functions that you trust."


@click.group(context_settings=SETTINGS, epilog=EXIT_CODE_HELP)
@click.version_option(__version__, prog_name="pifopfs")
def pifopfs() -> None:
    """Mount a function of PIFOP Functions as a directory, and call it with cp, echo and cat."""


def in_background(
    run: Callable[[Callable[[], None]], None], log_file: Path, log_level: str
) -> NoReturn:
    """Run in a daemon that logs to a file; exit once it has called `ready`, or has failed."""

    def logged(ready: Callable[[], None]) -> daemon.Outcome:
        log_to(
            RotatingFileHandler(
                log_file,
                maxBytes=LOG_SIZE,
                backupCount=1,
                encoding="utf-8",
                errors="backslashreplace",  # names need not be UTF-8
            ),
            log_level,
        )
        return _outcome(partial(run, ready))

    private_folder(log_file.parent)
    outcome = daemon.in_background(logged, log_file)
    fail(outcome.message, outcome.exit_code)


def _outcome(run: Callable[[], None]) -> daemon.Outcome:
    """How `run` ended. A bug is logged, and told in a sentence."""
    try:
        run()
    except BaseException as error:
        leaf = only_leaf(error)
        if isinstance(leaf, errors.PifopfsError):
            logging.getLogger(__name__).error("%s", leaf)  # noqa: TRY400  # not a bug: no traceback
            return daemon.Outcome(exit_code(leaf), sentence(leaf))
        logging.getLogger(__name__).exception("the daemon failed")
        return daemon.Outcome(1, f"{type(leaf).__name__}: {leaf}")
    return daemon.Outcome(0)


def log_to(handler: logging.Handler, level: str) -> None:
    """Our own loggers at the level asked for, those of libraries from warnings on."""
    handler.setFormatter(logging.Formatter(LOG_FORMAT))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("pifopfs").setLevel(level.upper())
