"""umount."""

from __future__ import annotations

from pathlib import Path

import click

from pifopfs import errors
from pifopfs.cli.candidates import mountpoints
from pifopfs.cli.reporting import EXIT_CODE_HELP
from pifopfs.mount.mountpoint import FILESYSTEM, find_mount, real_mountpoint
from pifopfs.mount.records import find_record
from pifopfs.mount.unmount import unmount
from pifopfs.paths import mountpoint_path


@click.command("umount", epilog=EXIT_CODE_HELP)
@click.argument("mountpoint", type=click.Path(path_type=Path), shell_complete=mountpoints)
@click.option("--force", is_flag=True, help="Cancel what is under way and detach at once.")
@click.option("--stop-jobs", is_flag=True, help="Also end the folder's server and what runs on it.")
def command(mountpoint: Path, *, force: bool, stop_jobs: bool) -> None:
    """Unmount MOUNTPOINT and wait until its daemon has ended.

    Executions go on: at the service, and on the server of a folder. A busy mount is left alone,
    and the processes that use it are named.
    """
    path = mountpoint_path(mountpoint)
    if stop_jobs:
        _check_stop_jobs(real_mountpoint(path))
    record = unmount(path, force=force)
    if stop_jobs and record is not None and record.folder is not None:
        _end_server(Path(record.folder))


def _end_server(folder: Path) -> None:
    import trio  # an ordinary umount does without what this takes

    from pifopfs.server.embedded.guest import end_embedded

    trio.run(end_embedded, folder)


def _check_stop_jobs(mountpoint: Path) -> None:
    """Before anything is unmounted: whether the executions are on a server of this machine."""
    mounted, record = find_mount(mountpoint), find_record(mountpoint)
    ours = mounted is not None and mounted.filesystem == FILESYSTEM
    if ours and (record is None or record.folder is None):
        raise errors.OptionInvalid(
            "--stop-jobs is for mounted folders; terminate the executions of a service with rmdir"
        )
