"""mount, umount, forget."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import click
import trio

from pifopfs import config as configuration
from pifopfs import errors
from pifopfs.cli.group import (
    FILE,
    FOLDER,
    ISOLATION,
    ISOLATION_HELP,
    LOG_LEVEL,
    in_background,
    log_to,
    pifopfs,
)
from pifopfs.cli.reporting import EXIT_CODE_HELP
from pifopfs.config import Config
from pifopfs.mount import control
from pifopfs.mount.mountpoint import FILESYSTEM, find_mount, real_mountpoint
from pifopfs.mount.records import find_record
from pifopfs.mount.runner import Mount
from pifopfs.mount.unmount import unmount
from pifopfs.server.embedded import end_embedded


@pifopfs.command("mount", epilog=EXIT_CODE_HELP)
@click.argument("function")
@click.argument("mountpoint", type=click.Path(path_type=Path))
@click.option("-f", "--foreground", is_flag=True, help="Stay in the foreground; Ctrl-C unmounts.")
@click.option("--endpoint", metavar="URL", help="The service: https://… or unix:/path/to/socket.")
@click.option("--allow-plain-http", is_flag=True, help="Allow http:// to a loopback address.")
@click.option("--api-key-file", type=FILE, help="A file that holds the API key.")
@click.option("--ca-file", type=FILE, help="Certificates to trust instead of the system's.")
@click.option("--state-dir", type=FOLDER, help="Where names and staged inputs are kept.")
@click.option("--cache-dir", type=FOLDER, help="Where downloaded outputs are kept.")
@click.option(
    "--wait-outage",
    metavar="SECONDS",
    help="How long a read of `wait` rides out a service that does not answer (300).",
)
@click.option("--isolation", type=ISOLATION, help=f"For a folder. {ISOLATION_HELP}")
@click.option("--log-level", type=LOG_LEVEL, help="How much to log (info).")
@click.option(
    "-o",
    "options",
    multiple=True,
    metavar="OPT[,OPT…]",
    help="FUSE options: ro, allow_other, uid=, gid=, umask=, noexec, noatime.",
)
def mount_command(function: str, mountpoint: Path, **flags: object) -> None:
    """Mount FUNCTION on the empty folder MOUNTPOINT.

    FUNCTION is AUTHOR/ID (a function of the PIFOP service, or of --endpoint), a folder that holds
    a function.json (/…, ./… or ../…; an embedded server runs it on this machine), or example:NAME.

    The API key comes from --api-key-file, PIFOPFS_API_KEY_FILE or PIFOPFS_API_KEY.
    """
    config = configuration.load(function, mountpoint, os.environ, **flags)  # type: ignore[arg-type]
    if config.foreground:
        log_to(logging.StreamHandler(), config.log_level)
        _run(config, lambda: None)
    else:
        in_background(partial(_run, config), config.log_file, config.log_level)


def _run(config: Config, ready: Callable[[], None]) -> None:
    trio.run(Mount(config, ready).run)


@pifopfs.command("umount", epilog=EXIT_CODE_HELP)
@click.argument("mountpoint", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Cancel what is under way and detach at once.")
@click.option("--stop-jobs", is_flag=True, help="Also end the folder's server and what runs on it.")
def umount_command(mountpoint: Path, *, force: bool, stop_jobs: bool) -> None:
    """Unmount MOUNTPOINT and wait until its daemon has ended.

    Executions go on: at the service, and on the server of a folder. A busy mount is left alone,
    and the processes that use it are named.
    """
    path = configuration.mountpoint_path(mountpoint)
    if stop_jobs:
        _check_stop_jobs(real_mountpoint(path))
    record = unmount(path, force=force)
    if stop_jobs and record is not None and record.folder is not None:
        trio.run(end_embedded, Path(record.folder))


def _check_stop_jobs(mountpoint: Path) -> None:
    """Before anything is unmounted: whether the executions are on a server of this machine."""
    mounted, record = find_mount(mountpoint), find_record(mountpoint)
    ours = mounted is not None and mounted.filesystem == FILESYSTEM
    if ours and (record is None or record.folder is None):
        raise errors.OptionInvalid(
            "--stop-jobs is for mounted folders; terminate the executions of a service with rmdir"
        )


@pifopfs.command("forget", epilog=EXIT_CODE_HELP)
@click.argument("execution", type=click.Path(path_type=Path), metavar="MOUNTPOINT/executions/NAME")
def forget_command(execution: Path) -> None:
    """Drop an execution's name from its mount without terminating it; prints its id."""
    path = configuration.mountpoint_path(execution)
    if path.parent.name != "executions":
        raise errors.OptionInvalid(f"{execution} is not of the form MOUNTPOINT/executions/NAME")
    click.echo(os.fsencode(control.forget(real_mountpoint(path.parent.parent), path.name)))
