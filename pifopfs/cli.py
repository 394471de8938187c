"""The command line: arguments to a configuration, errors to a sentence and an exit code.

The only module that prints or exits.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import NoReturn, TextIO

import click
import trio

from pifopfs import __version__, errors
from pifopfs import config as configuration
from pifopfs.config import Config
from pifopfs.machine import private_folder
from pifopfs.mount import control, daemon
from pifopfs.mount.mountpoint import FILESYSTEM, find_mount, real_mountpoint
from pifopfs.mount.records import find_record
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
  2  the command line or an environment variable is not right
  3  the function, or its function.json, is not right
  4  the API key is missing, malformed or refused
  5  the endpoint or service is not right, or does not answer
  6  the mountpoint is not right
  7  the mount is busy, or its names are in use by another one
  8  a folder for state, cache or sockets cannot be used: see the message
"""

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
LOG_SIZE = 4 * 2**20

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
FOLDER = click.Path(file_okay=False, path_type=Path)
LOG_LEVEL = click.Choice(configuration.LOG_LEVELS)
FILE = click.Path(dir_okay=False, path_type=Path)


def main() -> None:
    """The entry point of the command `pifopfs`."""
    daemon.open_standard_streams()
    with reported():
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
    except (Exception, BaseExceptionGroup) as error:
        leaf = _only_leaf(error)
        if isinstance(leaf, errors.PifopfsError):
            _fail(_sentence(leaf), _exit_code(leaf))
        if isinstance(leaf, OSError):
            logging.getLogger(__name__).debug("an unexpected failure", exc_info=True)
            _let_go_of(sys.stdout)
            name = f"{os.fsdecode(leaf.filename)}: " if isinstance(leaf.filename, str) else ""
            _fail(f"{name}{leaf.strerror or leaf}", 1)
        raise


def _only_leaf(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _sentence(error: errors.PifopfsError) -> str:
    return f"{error}. {error.advice}" if error.advice else str(error)


def _exit_code(error: errors.PifopfsError) -> int:
    return next(code for kind, code in EXIT_CODES if isinstance(error, kind))


def _fail(sentence: str, exit_code: int) -> NoReturn:
    if sentence:
        with contextlib.suppress(OSError):  # where stderr is full the exit code must do
            click.echo(f"pifopfs: {sentence}", err=True)
        _let_go_of(sys.stderr)
    sys.exit(exit_code)


def _let_go_of(stream: TextIO) -> None:
    """Python would fail once more at its end, over what could not be written."""
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


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
@click.option(
    "--wait-outage",
    metavar="SECONDS",
    help="How long a read of `wait` rides out a service that does not answer (300).",
)
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
        _log_to(logging.StreamHandler(), config.log_level)
        _run(config, lambda: None)
    else:
        _in_background(partial(_run, config), config.log_file, config.log_level)


def _in_background(
    run: Callable[[Callable[[], None]], None], log_file: Path, log_level: str
) -> NoReturn:
    """Run in a daemon that logs to a file; exit once it has called `ready`, or has failed."""

    def logged(ready: Callable[[], None]) -> daemon.Outcome:
        _log_to(
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
    _fail(outcome.message, outcome.exit_code)


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


# ── serve ─────────────────────────────────────────────────────────────────────────────────────


@pifopfs.command("serve", epilog=EXIT_CODE_HELP)
@click.argument("root", type=FOLDER)
@click.option("--socket", type=FILE, help="Where to listen; in a folder that only you can enter.")
@click.option("--state-dir", type=FOLDER, help="Where executions and their files are kept.")
@click.option("--log-level", type=LOG_LEVEL, default="info", show_default=True)
def serve_command(root: Path, socket: Path | None, state_dir: Path | None, log_level: str) -> None:
    """Serve the functions ROOT/AUTHOR/ID/function.json on a Unix socket, until interrupted."""
    place = [None if path is None else configuration.absolute(path) for path in (socket, state_dir)]
    site = Site.of(configuration.absolute(root), *place)
    _log_to(logging.StreamHandler(), log_level)

    def ready(names: list[str]) -> None:
        click.echo(os.fsencode(f"serving {', '.join(names)} on unix:{site.socket}"))

    trio.run(partial(serve_root, site, ready=ready))


@pifopfs.command("serve-folder", hidden=True)
@click.argument("folder", type=FOLDER)
@click.option("--linger", type=click.FloatRange(min=0), default=60.0, show_default=True)
def serve_folder_command(folder: Path, linger: float) -> None:
    """Serve one folder in the background, for its mounts, until nobody has needed that for a while.

    `mount` does this by itself.
    """
    folder = configuration.absolute(folder).resolve()  # before the daemon changes to /

    def run(ready: Callable[[], None]) -> None:
        trio.run(partial(serve_folder, folder, linger=linger, ready=ready))

    _in_background(run, Place.of(folder).log_file, "info")
