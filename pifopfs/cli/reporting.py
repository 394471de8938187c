"""Failures as the user is told of them: one sentence on stderr and an exit code."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn, TextIO

import click

from pifopfs import errors
from pifopfs.cli.missing import named
from pifopfs.observing.text import printable

EXIT_CODES: list[tuple[type[errors.PifopfsError], int]] = [
    (errors.OptionInvalid, 2),
    (errors.ConfigFileInvalid, 2),
    (errors.FunctionArgumentInvalid, 3),
    (errors.FunctionFileInvalid, 3),
    (errors.FunctionUnknown, 3),
    (errors.CredentialsInvalid, 4),
    (errors.AccessDenied, 4),
    (errors.EndpointInvalid, 5),
    (errors.ServerNotStarted, 5),
    (errors.ServiceError, 5),
    (errors.MountpointInvalid, 6),
    (errors.MountBusy, 7),
    (errors.StateLocked, 7),
    (errors.SetupError, 8),
    (errors.LocalStorageFailed, 8),
    (errors.LocalStorageFull, 8),
    (errors.PifopfsError, 1),
]
"""The first that fits counts."""

EXIT_CODE_HELP = """\b
Exit codes:
  0  done
  1  an unexpected failure
  2  the command line, an environment variable or a config.toml is not right
  3  the function, or its function.json, is not right
  4  the API key is missing, malformed or refused
  5  the endpoint or service is not right, or does not answer
  6  the mountpoint is not right
  7  the mount is busy, or its names are in use by another one
  8  a folder, file or part of this machine is missing or unusable: see the message
"""


@contextmanager
def reported() -> Iterator[None]:
    """One sentence on stderr and an exit code for every failure that has a name."""
    try:
        yield
    except (Exception, BaseExceptionGroup) as error:
        leaf = only_leaf(error)
        if isinstance(leaf, ImportError):
            leaf = named(leaf)
        if isinstance(leaf, errors.PifopfsError):
            fail(sentence(leaf), exit_code(leaf))
        if isinstance(leaf, OSError):
            logging.getLogger(__name__).debug("an unexpected failure", exc_info=True)
            _let_go_of(sys.stdout)
            name = f"{os.fsdecode(leaf.filename)}: " if isinstance(leaf.filename, str) else ""
            fail(f"{name}{leaf.strerror or leaf}", 1)
        raise


def only_leaf(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def sentence(error: errors.PifopfsError) -> str:
    return f"{error}. {error.advice}" if error.advice else str(error)


def exit_code(error: errors.PifopfsError) -> int:
    return next(code for kind, code in EXIT_CODES if isinstance(error, kind))


def fail(sentence: str, exit_code: int) -> NoReturn:
    if sentence:
        with contextlib.suppress(OSError):  # where stderr is full the exit code must do
            lines = map(printable, f"pifopfs: {sentence}".split("\n"))  # it may quote a service
            click.echo("\n".join(lines), err=True)
        _let_go_of(sys.stderr)
    sys.exit(exit_code)


def _let_go_of(stream: TextIO) -> None:
    """Python would fail once more at its end, over what could not be written."""
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
