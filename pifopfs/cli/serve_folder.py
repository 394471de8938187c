"""serve-folder: the server of a mounted folder."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import click
import trio

from pifopfs.cli.background import in_background
from pifopfs.cli.options import FOLDER, ISOLATION
from pifopfs.machine import BUBBLEWRAP
from pifopfs.paths import absolute
from pifopfs.server.embedded.host import serve_folder
from pifopfs.server.embedded.place import Place


@click.command("serve-folder", hidden=True)
@click.argument("folder", type=FOLDER)
@click.option("--linger", type=click.FloatRange(min=0), default=60.0, show_default=True)
@click.option("--isolation", type=ISOLATION, default=BUBBLEWRAP, show_default=True)
def command(folder: Path, linger: float, isolation: str) -> None:
    """Serve one folder in the background, for its mounts, until nobody has needed that for a while.

    `mount` does this by itself.
    """
    folder = absolute(folder).resolve()  # before the daemon changes to /

    def run(ready: Callable[[], None]) -> None:
        trio.run(partial(serve_folder, folder, linger=linger, isolation=isolation, ready=ready))

    in_background(run, Place.of(folder).log_file, "info")
