"""run: a job from its command line on, and what is told of it."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path

import click
import trio

from pifopfs import config as configuration
from pifopfs.cli.ends import END_CODES, die_by, tell
from pifopfs.cli.reporting import exit_code, fail, only_leaf, sentence
from pifopfs.cli.terminal import Terminal
from pifopfs.cli.texts import json_line, shown
from pifopfs.errors import OptionInvalid, PifopfsError
from pifopfs.run.ends import End, words
from pifopfs.run.job import Job, Order
from pifopfs.service import reached

NOWHERE = Path("/")
"""The mountpoint of what is not mounted."""

Failure = PifopfsError | OSError


def check_stdout(order: Order, *, as_json: bool) -> None:
    """Raises OptionInvalid where two things would go there."""
    if as_json and any(wish.path is None for wish in order.outputs):
        raise OptionInvalid("--json and an output that goes to -: standard output takes one only")


def run(order: Order, function: str, *, as_json: bool, flags: Mapping[str, object]) -> None:
    """Exits with what came of it, unless all went well. Raises SetupError."""
    config = configuration.load(function, NOWHERE, os.environ, **flags)  # type: ignore[arg-type]
    taken = as_json or any(wish.path is None for wish in order.outputs)
    terminal = Terminal(quiet=order.quiet, announce_to_stderr=taken)
    job = Job(order, function, config.settings, terminal)
    failure: Failure | None = None
    try:
        trio.run(job.run, reached(config))
    except (Exception, BaseExceptionGroup) as error:
        leaf = only_leaf(error)
        if not isinstance(leaf, Failure):
            raise
        failure = leaf
    terminal.end_line()
    _tell(job, failure, as_json=as_json)


def _tell(job: Job, failure: Failure | None, *, as_json: bool) -> None:
    """What came of it: notes, the document, a sentence, the exit code."""
    ending = job.interruption.signal
    if ending is None and isinstance(failure, BrokenPipeError):
        ending = signal.SIGPIPE
    code, text = _outcome(job, failure) if ending is None else (128 + ending, ending.name)
    for note in job.result.notes:
        click.echo(f"pifopfs: {shown(note)}", err=True)
    if as_json:
        error = text or None
        tell(json_line({**job.result.document(), "error": error, "exit_status": code}))
    if ending is not None:
        die_by(ending)
    if code:
        fail(text, code)


def _outcome(job: Job, failure: Failure | None) -> tuple[int, str]:
    """The exit code, and a sentence where it is not 0."""
    if isinstance(failure, PifopfsError):
        return exit_code(failure), sentence(failure)
    if failure is not None:
        name = f"{os.fsdecode(failure.filename)}: " if isinstance(failure.filename, str) else ""
        return 1, f"{name}{failure.strerror or failure}"
    end = job.result.end
    if end is None or end is End.DONE:
        return 0, ""
    return END_CODES[end], f"{job.result.function} {words(end, job.result.execution)}"
