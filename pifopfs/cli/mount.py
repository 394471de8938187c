"""mount: the command line. What it takes is loaded while the server of a folder starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pifopfs.cli.candidates import folders, functions
from pifopfs.cli.loading import loading
from pifopfs.cli.named_options import with_named
from pifopfs.cli.options import FILE, FOLDER, LOG_FORMAT, LOG_LEVEL, of_folder
from pifopfs.cli.reporting import EXIT_CODE_HELP
from pifopfs.paths import find_folder
from pifopfs.server.embedded import starter


@click.command("mount", epilog=EXIT_CODE_HELP)
@click.argument("function", shell_complete=functions)
@click.argument("mountpoint", type=click.Path(path_type=Path), shell_complete=folders)
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
@of_folder
@click.option("--log-level", type=LOG_LEVEL, help="How much to log (info).")
@click.option("--log-format", type=LOG_FORMAT, help="How a line of the log looks (text).")
@click.option(
    "-o",
    "options",
    multiple=True,
    metavar="OPT[,OPT…]",
    help="FUSE options: ro, allow_other, uid=, gid=, umask=, noexec, noatime, notify; and every "
    "option above without its --, such as api-key-file=FILE.",
)
def command(function: str, mountpoint: Path, **flags: Any) -> None:
    """Mount FUNCTION on the empty folder MOUNTPOINT.

    FUNCTION is AUTHOR/ID (a function of the PIFOP service, or of --endpoint), a folder that holds
    a function.json (/…, ./… or ../…; an embedded server runs it on this machine), or example:NAME.

    The API key comes from --api-key-file, PIFOPFS_API_KEY_FILE or PIFOPFS_API_KEY, or is the one
    that pifopfs login has stored. Settings can stand in a file, too: see pifopfs config show.
    """
    flags = with_named(click.get_current_context(), flags)
    folder = find_folder(function)
    prepared = None if folder is None else starter.prepare(folder)
    with loading(client=True):
        from pifopfs.cli.mounting import mount
    mount(function, mountpoint, flags, prepared)
