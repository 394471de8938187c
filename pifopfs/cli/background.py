"""Commands that go on in the background, and where they log."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from functools import partial
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import NoReturn

from pifopfs import errors
from pifopfs.cli.logformats import formatter, writes_to_journal
from pifopfs.cli.reporting import exit_code, fail, only_leaf, sentence
from pifopfs.machine import private_folder
from pifopfs.mount import daemon

LOG_SIZE = 4 * 2**20


def in_background(
    run: Callable[[Callable[[], None]], None],
    log_file: Path,
    log_level: str,
    log_format: str = "text",
    *,
    keep: Collection[int] = (),
    stay: bool = False,
) -> NoReturn:
    """Run in a daemon that logs to a file; exit once it has called `ready`, or has failed.

    `keep`: descriptors that it keeps. `stay`: it leaves the process group only then.
    """
    outcome = outcome_in_background(run, log_file, log_level, log_format, keep=keep, stay=stay)
    fail(outcome.message, outcome.exit_code)


def outcome_in_background(
    run: Callable[[Callable[[], None]], None],
    log_file: Path,
    log_level: str,
    log_format: str = "text",
    *,
    keep: Collection[int] = (),
    stay: bool = False,
) -> daemon.Outcome:
    """As `in_background`, for a caller who goes on."""

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
            log_format,
        )
        return _outcome(partial(run, ready))

    private_folder(log_file.parent)
    return daemon.in_background(logged, log_file, keep, stay=stay)


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


def log_to(handler: logging.Handler, level: str, kind: str = "text") -> None:
    """Our own loggers at the level asked for, those of libraries from warnings on.

    `kind`: text or json.
    """
    journal = type(handler) is logging.StreamHandler and writes_to_journal(handler.stream)
    handler.setFormatter(formatter(kind, journal=journal))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("pifopfs").setLevel(level.upper())
