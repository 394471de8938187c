"""serve-folder: the server of a mounted folder."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

import click
import trio

from pifopfs.cli.background import in_background, outcome_in_background
from pifopfs.cli.options import FOLDER, ISOLATION
from pifopfs.machine import BUBBLEWRAP
from pifopfs.observing.dumps import dumping
from pifopfs.paths import absolute
from pifopfs.server.embedded.host import serve_folder
from pifopfs.server.embedded.manner import Manner
from pifopfs.server.embedded.place import Place


@click.command("serve-folder", hidden=True)
@click.argument("folder", type=FOLDER)
@click.option("--linger", type=click.FloatRange(min=0), default=60.0, show_default=True)
@click.option("--isolation", type=ISOLATION, default=BUBBLEWRAP, show_default=True)
@click.option("--when-told", is_flag=True, help="Wait for a line with the options, in JSON.")
def command(folder: Path, *, linger: float, isolation: str, when_told: bool) -> None:
    """Serve one folder in the background, for its mounts, until nobody has needed that for a while.

    `mount` does this by itself, and tells it which engine.
    """
    folder = absolute(folder).resolve()  # before the daemon changes to /
    if when_told:
        _serve_when_told(folder)
    else:
        in_background(_server(folder, linger, Manner(isolation)), Place.of(folder).log_file, "info")


def _serve_when_told(folder: Path) -> None:
    """The other side of `embedded.starter`."""
    line = sys.stdin.readline()
    if line:
        told = json.loads(line)
        server = _server(folder, told.pop("linger"), Manner(**told))
        outcome = outcome_in_background(server, Place.of(folder).log_file, "info")
        click.echo(json.dumps(asdict(outcome)))


def _server(folder: Path, linger: float, manner: Manner) -> Callable[[Callable[[], None]], None]:
    def run(ready: Callable[[], None]) -> None:
        serving = partial(serve_folder, folder, linger=linger, manner=manner, ready=ready)
        trio.run(dumping, serving)

    return run
