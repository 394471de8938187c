"""What an argument can be, for shells that complete it. Nothing here asks a service or a mount."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pifopfs import errors, machine

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    Candidates = list[CompletionItem] | list[str]

FOLDER_BEGINS = ("/", ".")


def folders(_: click.Context, __: click.Parameter, incomplete: str) -> Candidates:
    """The shell itself finds them."""
    return [_folder(incomplete)]


def mountpoints(_: click.Context, __: click.Parameter, incomplete: str) -> Candidates:
    """What is mounted; folders where none of it fits, for what was typed may be relative."""
    from pifopfs.mount.mountpoint import FILESYSTEM  # not before somebody asks

    mounted = {str(m.mountpoint) for m in machine.mounts() if m.filesystem == FILESYSTEM}
    fitting = sorted(path for path in mounted if path.startswith(incomplete))
    return fitting or [_folder(incomplete)]


def functions(_: click.Context, __: click.Parameter, incomplete: str) -> Candidates:
    """The examples, and what the configuration has a section for; or a folder, once it begins as
    one.
    """
    if incomplete.startswith(FOLDER_BEGINS):
        return [_folder(incomplete)]
    names = [*_examples(), *_configured()]
    return [name for name in names if name.startswith(incomplete)]


def engines(_: click.Context, __: click.Parameter, incomplete: str) -> Candidates:
    """Those that are installed."""
    from pifopfs.server.engines.finding import names

    return [name for name in names() if name.startswith(incomplete)]


def _folder(incomplete: str) -> CompletionItem:
    from click.shell_completion import CompletionItem  # a command that runs does without

    return CompletionItem(incomplete, type="dir")


def _examples() -> list[str]:
    folder = Path(__file__).parents[1] / "examples"
    return sorted(f"example:{path.parent.name}" for path in folder.glob("*/function.json"))


def _configured() -> list[str]:
    """Of AUTHOR/ID, by name. A file that is not right is told of by the command itself."""
    from pifopfs.config import files

    try:
        sections = [file.sections for file in files.read_all(os.environ)]
    except errors.ConfigFileInvalid:
        return []
    return sorted({name for names in sections for name in names if not name.startswith(("~", "/"))})
