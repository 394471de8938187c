"""serve."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from functools import partial
from pathlib import Path

import click
import trio

from pifopfs import config as configuration
from pifopfs.cli.background import log_to
from pifopfs.cli.options import (
    FILE,
    FOLDER,
    LOG_FORMAT,
    LOG_LEVEL,
    MEGABYTES,
    MINUTES,
    NUMBER,
    on_engine,
)
from pifopfs.cli.reporting import EXIT_CODE_HELP
from pifopfs.observing.dumps import dumping
from pifopfs.paths import absolute
from pifopfs.sdnotify import Notifier
from pifopfs.server.limits import DEFAULT, Limits
from pifopfs.server.site import Site, serve_root


@click.command("serve", epilog=EXIT_CODE_HELP)
@click.argument("root", type=FOLDER)
@click.option("--host", "hosts", multiple=True, help="An IP address (127.0.0.1 and ::1).")
@click.option("--port", type=click.IntRange(0, 65535), help="A port (3445); 0 is any free one.")
@click.option("--tls-cert", type=FILE, help="The server's certificate, in PEM.")
@click.option("--tls-key", type=FILE, help="Its private key.")
@click.option(
    "--socket",
    type=FILE,
    help="A Unix socket instead, without keys; in a folder that only you can enter.",
)
@click.option("--state-dir", type=FOLDER, help="Where executions, files and keys are kept.")
@on_engine
@click.option("--run-as", metavar="USER", help="Whom programs run as, for root (nobody).")
@click.option("--max-memory", type=MEGABYTES, metavar="MB", help="Of each run (no limit).")
@click.option("--max-time", type=MINUTES, metavar="MINUTES", help="Of each run (no limit).")
@click.option("--max-disk", type=MEGABYTES, metavar="MB", help="In a run's folder (65536).")
@click.option("--max-processes", type=NUMBER, help="Of each run, with threads (1024).")
@click.option("--max-log", type=MEGABYTES, metavar="MB", help="Kept of each log (64).")
@click.option("--max-input", type=MEGABYTES, metavar="MB", help="Of one input (65536).")
@click.option("--log-level", type=LOG_LEVEL, default="info", show_default=True)
@click.option("--log-format", type=LOG_FORMAT, default="text", show_default=True)
def command(  # one parameter for each flag
    root: Path,
    *,
    hosts: tuple[str, ...],
    port: int | None,
    run_as: str | None,
    isolation: str | None,
    engine: str | None,
    engine_options: tuple[str, ...],
    log_level: str,
    log_format: str,
    tls_cert: Path | None,
    tls_key: Path | None,
    socket: Path | None,
    state_dir: Path | None,
    **limits: float | None,
) -> None:
    """Serve the functions ROOT/AUTHOR/ID/function.json over HTTPS, until interrupted.

    See docs/SERVER.md: keys, limits, the sandbox.
    """
    programs = configuration.resolve_without_files(
        {"isolation": isolation, "engine": engine, "engine_options": engine_options}, os.environ
    )
    cert, key, socket, state = map(_absolute, (tls_cert, tls_key, socket, state_dir))
    site = Site.of(
        absolute(root),
        hosts=hosts,
        port=port,
        tls_cert=cert,
        tls_key=key,
        socket=socket,
        state=state,
        isolation=programs["isolation"].value,
        engine=programs["engine"].value,
        engine_options=programs["engine_options"].value,
        run_as=run_as,
        limits=_limits(limits),
    )
    log_to(logging.StreamHandler(), log_level, log_format)

    def ready(lines: list[str]) -> None:
        for line in lines:
            click.echo(os.fsencode(line))

    notifier = Notifier.take(os.environ)
    trio.run(dumping, partial(serve_root, site, ready=ready, notifier=notifier))


def _absolute(path: Path | None) -> Path | None:
    return None if path is None else absolute(path)


def _limits(given: dict[str, float | None]) -> Limits:
    """Each that is given takes the place of the default."""
    named = {name: value for name, value in given.items() if value is not None}
    told = Limits.of(named)
    names = (name.removeprefix("max_") for name in named)
    return replace(DEFAULT, **{name: getattr(told, name) for name in names})
