"""mount.fuse.pifopfs: what mount(8) runs for `-t fuse.pifopfs` and for lines of /etc/fstab.

The arguments are those that mount(8) gives, the exit codes those that it knows. Root's mounts keep
their files where the system's services do, with or without a HOME: the same names come back
whether a mount was made at boot or by hand.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import MutableMapping
from contextlib import suppress
from pathlib import Path

import click

from pifopfs.cli import mount
from pifopfs.cli.named_options import is_named, with_named
from pifopfs.cli.reporting import reported
from pifopfs.errors import OptionInvalid
from pifopfs.fuse_options import is_known, split
from pifopfs.machine import SYSTEM_RUNTIME, private_folder
from pifopfs.mount import daemon

NAME = "mount.fuse.pifopfs"

USAGE, SYSTEM, BUG, INTERRUPTED, FAILED = 1, 2, 4, 8, 32
"""Exit codes of mount(8)."""
CODES = {0: 0, 2: USAGE, 8: SYSTEM}
"""For exit codes of ours; any other is FAILED."""

SYSTEM_FOLDERS = {"XDG_STATE_HOME": "/var/lib", "XDG_CACHE_HOME": "/var/cache"}
LOGIN_RUNTIME = "/run/user/"
"""Goes when root logs out, which the mount does not."""


@click.command(NAME)
@click.argument("function")
@click.argument("mountpoint", type=click.Path(path_type=Path))
@click.option("-o", "options", multiple=True, metavar="OPT[,OPT…]", help="As `pifopfs mount -o`.")
@click.option("-s", "sloppy", is_flag=True, help="Pass over options that are not known.")
@click.option("-f", "fake", is_flag=True, help="Check everything, and mount nothing.")
@click.option("-v", "verbose", is_flag=True, help="Say what is done.")
@click.option("-r", "read_only", is_flag=True, help="As -o ro.")
@click.option("-w", "writable", is_flag=True, help="As -o rw.")
@click.option("-n", is_flag=True, expose_value=False, help="Nothing: there is no /etc/mtab.")
@click.option("-t", expose_value=False, metavar="TYPE", help="Nothing: the type is known.")
@click.option("-N", "namespace", metavar="FILE", help="Mount in this mount namespace.")
def command(
    function: str,
    mountpoint: Path,
    options: tuple[str, ...],
    *,
    sloppy: bool,
    fake: bool,
    verbose: bool,
    read_only: bool,
    writable: bool,
    namespace: str | None,
) -> None:
    """Mount FUNCTION on MOUNTPOINT, as mount(8) asks for it."""
    if namespace is not None:
        _go_into(namespace)
    items = split(options)
    if sloppy:
        items = [each for each in items if is_known(each) or is_named(mount.command, each)]
    items += ["ro"] * read_only + ["rw"] * writable
    line = ["-o", ",".join(items), "--", function, str(mountpoint)]
    if os.geteuid() == 0:
        use_system_folders(os.environ)
    if verbose:
        click.echo(os.fsencode(f"{NAME}: pifopfs mount {' '.join(line)}"))
    with mount.command.make_context(NAME, line) as context:
        _mount(context, fake=fake)


def _mount(context: click.Context, *, fake: bool) -> None:
    flags = with_named(context, context.params)
    if flags["foreground"]:
        raise OptionInvalid("-o foreground: mount(8) waits for the end of what it runs")
    if fake:
        from pifopfs import config  # much that the other way loads by itself

        config.load(**{"target": flags.pop("function"), "environ": os.environ, **flags})
    else:
        context.command.invoke(context)


def use_system_folders(environ: MutableMapping[str, str]) -> None:
    """Keep what root mounts where the system's services do, unless that is set. Raises SetupError.

    The folder of a login is not taken for one that is set.
    """
    for name, folder in SYSTEM_FOLDERS.items():
        environ.setdefault(name, folder)
    if environ.get("XDG_RUNTIME_DIR", LOGIN_RUNTIME).startswith(LOGIN_RUNTIME):
        environ["XDG_RUNTIME_DIR"] = str(private_folder(SYSTEM_RUNTIME))


def _go_into(namespace: str) -> None:
    """Become this command in another mount namespace. Raises OptionInvalid."""
    arguments = [each for each in sys.argv[1:] if each not in ("-N", namespace)]
    line = ["nsenter", f"--mount={namespace}", "--", sys.argv[0], *arguments]
    with suppress(FileNotFoundError):
        os.execvp(line[0], line)  # noqa: S606  # no shell
    raise OptionInvalid("-N: nsenter, of util-linux, is not installed")


def main() -> None:
    """The entry point of the command `mount.fuse.pifopfs`."""
    daemon.open_standard_streams()
    sys.exit(_run())


def _run() -> int:
    try:
        with reported():
            command.main(prog_name=NAME, standalone_mode=False)
    except SystemExit as end:
        return CODES.get(end.code if isinstance(end.code, int) else 1, FAILED)
    except click.UsageError as error:
        error.show()
        return USAGE
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except Exception:  # noqa: BLE001  # mount(8) has a code for it
        traceback.print_exc()
        return BUG
    return 0
