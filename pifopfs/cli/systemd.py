"""systemd: put the units, and mount(8)'s helper, where they are looked for."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import click
import platformdirs

from pifopfs.cli.options import FILE, FOLDER
from pifopfs.cli.placing import Placed, place, remove
from pifopfs.cli.reporting import EXIT_CODE_HELP
from pifopfs.errors import OptionInvalid
from pifopfs.paths import absolute

UNITS = Path(__file__).parent.parent / "systemd"
EXECUTABLE = Path("/usr/bin/pifopfs")
"""In the units as they come; and of a distribution's package."""
HELPER = "mount.fuse.pifopfs"
HIDDEN = ("/home", "/root", "/run/user")
"""What the server's unit hides (ProtectHome=), and users can change."""

NEXT_SYSTEM = """\
Then, as docs/BOOT.md has it:
  systemctl daemon-reload
  systemctl enable --now pifopfs@joe-tsp     joe/tsp on /mnt/pifopfs/joe/tsp, now and at every boot
  systemctl enable --now pifopfs-server      the functions below /srv/pifopfs
  mount -t fuse.pifopfs joe/tsp /mnt/tsp     or a line in /etc/fstab"""
NEXT_USER = """\
Then, as docs/BOOT.md has it:
  systemctl --user daemon-reload
  systemctl --user enable --now pifopfs@joe-tsp    joe/tsp on ~/pifopfs/joe/tsp, at every login
  systemctl --user enable --now pifopfs-server     the functions below ~/functions
  loginctl enable-linger                           from boot on, without a login"""
GONE = """\
What runs goes on until it is stopped; what was enabled: systemctl {user}disable --now UNIT"""


@click.group("systemd", epilog=EXIT_CODE_HELP)
def command() -> None:
    """Mounts and servers that are there after a reboot: units, and the helper for /etc/fstab."""


def _placed(function: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--force", is_flag=True, help="Also files that are not as they would be."),
        click.option("--executable", type=FILE, help="The command that units run (this one)."),
        click.option("--root", type=FOLDER, help="For packages: below DIR/usr, for /usr/bin."),
        click.option("--user", is_flag=True, help="For this user, not for the machine."),
    ):
        function = option(function)
    return function


@command.command("install", epilog=EXIT_CODE_HELP)
@_placed
def install_command(*, user: bool, root: Path | None, executable: Path | None, force: bool) -> None:
    """Write pifopfs@.service and pifopfs-server.service, and link mount.fuse.pifopfs.

    Nothing is started. Where another file is in the way, nothing is changed.
    """
    for path in place(_files(user, root, executable), force=force):
        click.echo(os.fsencode(path))
    if root is None:
        click.echo(NEXT_USER if user else NEXT_SYSTEM)


@command.command("uninstall", epilog=EXIT_CODE_HELP)
@_placed
def uninstall_command(
    *, user: bool, root: Path | None, executable: Path | None, force: bool
) -> None:
    """Remove what `install` has written; nothing, where one of the files was changed since."""
    for path in remove(_files(user, root, executable), force=force):
        click.echo(os.fsencode(path))
    if root is None:
        click.echo(GONE.format(user="--user " if user else ""))


def _files(user: bool, root: Path | None, executable: Path | None) -> list[Placed]:
    """What belongs where. Raises OptionInvalid."""
    kind = "user" if user else "system"
    if root is not None:
        base = absolute(root) / "usr"
        units, helpers = base / "lib/systemd" / kind, base / "sbin"
    elif user:
        units, helpers = platformdirs.user_config_path("systemd") / "user", None
    else:
        units, helpers = Path("/etc/systemd/system"), Path("/sbin").resolve()
    program = _program(executable, packaged=root is not None, user=user)
    files = [
        Placed(units / unit.name, content=_rewritten(unit.read_text(), program))
        for unit in sorted((UNITS / kind).iterdir())
    ]
    if helpers is not None and not user:
        files.append(Placed(helpers / HELPER, link=program.with_name(HELPER)))
    return files


def _program(given: Path | None, *, packaged: bool, user: bool) -> Path:
    """What the units run: the command that was called, by the name that outlives an upgrade."""
    if given is not None:
        return absolute(given)
    if packaged:
        return EXECUTABLE
    called = Path(sys.argv[0])
    program = absolute(called if called.name == EXECUTABLE.name else Path(sys.executable))
    program = program.with_name(EXECUTABLE.name)
    if not program.is_file():
        raise OptionInvalid(f"there is no {program}; name the command: --executable")
    files = (program.resolve(), Path(sys.executable).resolve())
    if not user and any(file.is_relative_to(folder) for file in files for folder in HIDDEN):
        raise OptionInvalid(
            f"{program} or its Python is a user's, and root would run it at every boot; install "
            "pifopfs for the machine, such as with /usr/bin/python3 -m venv /opt/pifopfs, or use "
            "--user"
        )
    return program


def _rewritten(unit: str, program: Path) -> str:
    """The unit, for a command that is elsewhere."""
    word = str(program)
    for special, written in (("\\", "\\\\"), ('"', '\\"'), ("%", "%%"), ("$", "$$")):
        word = word.replace(special, written)
    if any(character.isspace() or character in "'\"\\;" for character in word):
        word = f'"{word}"'
    return unit.replace(f"={EXECUTABLE} ", f"={word} ")
