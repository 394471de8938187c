"""The command line: arguments to a configuration, errors to a sentence and an exit code.

The only module that prints or exits.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import NoReturn

import click
import trio

from pifopfs import __version__, errors
from pifopfs import config as configuration
from pifopfs.config import Config
from pifopfs.machine import private_folder
from pifopfs.mount import control, daemon
from pifopfs.mount.runner import Mount
from pifopfs.mount.unmount import unmount
from pifopfs.server.embedded import Place, end_embedded, serve_folder
from pifopfs.server.site import Site, serve_root

EXIT_CODES: list[tuple[type[errors.PifopfsError], int]] = [
    (errors.OptionInvalid, 2),
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
    (errors.PifopfsError, 1),
]
"""The first that fits counts."""

EXIT_CODE_HELP = """\b
Exit codes:
  0  done
  1  an unexpected failure
  2  the command line or an environment variable is not right
  3  the function, or its function.json, is not right
  4  the API key is missing, malformed or refused
  5  the endpoint or service is not right, or does not answer
  6  the mountpoint is not right
  7  the mount is busy, or its names are in use by another one
"""

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
LOG_LEVELS = ["debug", "info", "warning", "error"]
LOG_SIZE = 4 * 2**20

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)


def main() -> None:
    """The entry point of the command `pifopfs`."""
    pifopfs(prog_name="pifopfs")


@click.group(context_settings=SETTINGS, epilog=EXIT_CODE_HELP)
@click.version_option(__version__, prog_name="pifopfs")
def pifopfs() -> None:
    """Mount a function of PIFOP Functions as a directory, and call it with cp, echo and cat."""


@contextmanager
def reported() -> Iterator[None]:
    """One sentence on stderr and an exit code for every failure that has a name."""
    try:
        yield
    except errors.PifopfsError as error:
        _fail(error)
    except BaseExceptionGroup as group:
        leaf = _only_leaf(group)
        if not isinstance(leaf, errors.PifopfsError):
            raise
        _fail(leaf)


def _only_leaf(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _sentence(error: errors.PifopfsError) -> str:
    return f"{error}. {error.advice}" if error.advice else str(error)


def _exit_code(error: errors.PifopfsError) -> int:
    return next(code for kind, code in EXIT_CODES if isinstance(error, kind))


def _fail(error: errors.PifopfsError) -> NoReturn:
    click.echo(f"pifopfs: {_sentence(error)}", err=True)
    sys.exit(_exit_code(error))


# ── mount ─────────────────────────────────────────────────────────────────────────────────────


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
@click.option("--log-level", type=click.Choice(LOG_LEVELS), help="How much to log (info).")
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
    with reported():
        config = configuration.load(function, mountpoint, os.environ, **flags)  # type: ignore[arg-type]
        if config.foreground:
            _log_to(logging.StreamHandler(), config.log_level)
            _run(config, lambda: None)
        else:
            _in_background(partial(_run, config), config.log_file, config.log_level)


def _in_background(
    run: Callable[[Callable[[], None]], None], log_file: Path, log_level: str
) -> NoReturn:
    """Run in a daemon that logs to a file; exit once it has called `ready`, or has failed."""

    def logged(ready: Callable[[], None]) -> daemon.Outcome:
        _log_to(RotatingFileHandler(log_file, maxBytes=LOG_SIZE, backupCount=1), log_level)
        return _outcome(partial(run, ready))

    private_folder(log_file.parent)
    outcome = daemon.in_background(logged, log_file)
    if outcome.message:
        click.echo(f"pifopfs: {outcome.message}", err=True)
    sys.exit(outcome.exit_code)


def _outcome(run: Callable[[], None]) -> daemon.Outcome:
    """How `run` ended. A bug is logged, and told in a sentence."""
    try:
        run()
    except BaseException as error:
        leaf = _only_leaf(error)
        if isinstance(leaf, errors.PifopfsError):
            logging.getLogger(__name__).error("%s", leaf)  # noqa: TRY400  # not a bug: no traceback
            return daemon.Outcome(_exit_code(leaf), _sentence(leaf))
        logging.getLogger(__name__).exception("the daemon failed")
        return daemon.Outcome(1, f"{type(leaf).__name__}: {leaf}")
    return daemon.Outcome(0)


def _run(config: Config, ready: Callable[[], None]) -> None:
    trio.run(Mount(config, ready).run)


def _log_to(handler: logging.Handler, level: str) -> None:
    """Our own loggers at the level asked for, those of libraries from warnings on."""
    handler.setFormatter(logging.Formatter(LOG_FORMAT))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("pifopfs").setLevel(level.upper())


# ── umount, forget ────────────────────────────────────────────────────────────────────────────


@pifopfs.command("umount", epilog=EXIT_CODE_HELP)
@click.argument("mountpoint", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Cancel what is under way and detach at once.")
@click.option("--stop-jobs", is_flag=True, help="Also end the folder's server and what runs on it.")
def umount_command(mountpoint: Path, *, force: bool, stop_jobs: bool) -> None:
    """Unmount MOUNTPOINT and wait until its daemon has ended.

    Executions go on: at the service, and on the server of a folder. A busy mount is left alone,
    and the processes that use it are named.
    """
    with reported():
        record = unmount(mountpoint, force=force)
        if stop_jobs:
            if record is None or record.folder is None:
                raise errors.OptionInvalid(
                    "--stop-jobs is for mounted folders; terminate the executions of a service "
                    "with rmdir"
                )
            trio.run(end_embedded, Path(record.folder))


@pifopfs.command("forget", epilog=EXIT_CODE_HELP)
@click.argument("execution", type=click.Path(path_type=Path), metavar="MOUNTPOINT/executions/NAME")
def forget_command(execution: Path) -> None:
    """Drop an execution's name from its mount without terminating it; prints its id."""
    with reported():
        path = Path(os.path.abspath(execution))  # noqa: PTH100  # the mount must not be asked
        if path.parent.name != "executions":
            raise errors.OptionInvalid(f"{execution} is not of the form MOUNTPOINT/executions/NAME")
        mountpoint = path.parent.parent
        click.echo(control.forget(mountpoint.parent.resolve() / mountpoint.name, path.name))


# ── serve ─────────────────────────────────────────────────────────────────────────────────────


@pifopfs.command("serve", epilog=EXIT_CODE_HELP)
@click.argument("root", type=FOLDER)
@click.option("--socket", type=FILE, help="Where to listen; in a folder that only you can enter.")
@click.option("--state-dir", type=FOLDER, help="Where executions and their files are kept.")
@click.option("--log-level", type=click.Choice(LOG_LEVELS), default="info", show_default=True)
def serve_command(root: Path, socket: Path | None, state_dir: Path | None, log_level: str) -> None:
    """Serve the functions ROOT/AUTHOR/ID/function.json on a Unix socket, until interrupted."""
    with reported():
        site = Site.of(root, socket, state_dir)
        _log_to(logging.StreamHandler(), log_level)

        def ready(names: list[str]) -> None:
            click.echo(f"serving {', '.join(names)} on unix:{site.socket}")

        trio.run(partial(serve_root, site, ready=ready))


@pifopfs.command("serve-folder", hidden=True)
@click.argument("folder", type=FOLDER)
@click.option("--linger", type=click.FloatRange(min=0), default=60.0, show_default=True)
def serve_folder_command(folder: Path, linger: float) -> None:
    """Serve one folder in the background, for its mounts, until nobody has needed that for a while.

    `mount` does this by itself.
    """
    with reported():
        place = Place.of(folder)

        def run(ready: Callable[[], None]) -> None:
            trio.run(partial(serve_folder, folder.resolve(), linger=linger, ready=ready))

        _in_background(run, place.log_file, "info")
