"""The command `pifopfs`. The module of a command is loaded only when that is needed."""

from __future__ import annotations

from importlib import import_module

import click

from pifopfs import __version__
from pifopfs.cli.loading import loading
from pifopfs.cli.reporting import EXIT_CODE_HELP

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

COMMANDS = {
    "completion": "completion",
    "config": "config_show",
    "doctor": "doctor",
    "forget": "forget",
    "keys": "keys",
    "login": "login",
    "logout": "logout",
    "logs": "logs",
    "mount": "mount",
    "ps": "ps",
    "run": "run",
    "serve": "serve",
    "serve-folder": "serve_folder",
    "systemd": "systemd",
    "umount": "umount",
    "wait": "wait",
}
"""Each with the module of this package that has it, as `command`."""


class Commands(click.Group):
    """Knows its commands by name, so that one need not load what others use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In alphabetical order."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """None for a name that is none."""
        if cmd_name not in COMMANDS:
            return None
        with loading():
            command = import_module(f"pifopfs.cli.{COMMANDS[cmd_name]}").command
        assert isinstance(command, click.Command)  # noqa: S101  # that is what the table says
        return command


@click.group(cls=Commands, context_settings=SETTINGS, epilog=EXIT_CODE_HELP)
@click.version_option(__version__, prog_name="pifopfs")
def pifopfs() -> None:
    """Mount a function of PIFOP Functions as a directory, and call it with cp, echo and cat."""
