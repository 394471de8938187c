"""The manual pages: that they tell what `--help` tells, and are sound."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import click
import pytest

import pifopfs
from pifopfs.cli.group import pifopfs as program
from tests.manpages.pages import PAGES, SECTIONS, pages
from tests.packaging.system import ROOT

MADE = sorted(PAGES.glob("*.1"))


def shown(page: Path, *options: str) -> str:
    """As a terminal of 100 columns shows it."""
    command = ["man", "--local-file", *options, str(page)]
    env = {"MANWIDTH": "100", "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
    return subprocess.run(
        command, env=env, capture_output=True, text=True, check=True, timeout=60
    ).stdout


def sections(text: str) -> list[str]:
    return re.findall(r"^[A-Z][A-Z ]+$", text, re.MULTILINE)


def test_they_are_those_that_the_help_texts_give() -> None:
    there = {page.name: page.read_text() for page in MADE}
    made = pages()
    stale = sorted(name for name in there | made if there.get(name) != made.get(name))
    assert stale == [], "run scripts/man"


@pytest.mark.parametrize("page", MADE, ids=lambda page: page.name)
def test_a_page_is_sound(page: Path) -> None:
    lint = ["mandoc", "-Tlint", "-Wwarning", str(page)]
    result = subprocess.run(lint, capture_output=True, text=True, check=False, timeout=60)
    assert (result.returncode, result.stdout) == (0, "")
    groff = ["groff", "-man", "-ww", "-Tutf8", str(page)]
    result = subprocess.run(groff, capture_output=True, text=True, check=True, timeout=60)
    assert result.stderr == ""


def test_a_page_tells_every_option_of_its_command() -> None:
    ctx = click.Context(program)
    for name in program.list_commands(ctx):
        command = program.get_command(ctx, name)
        assert command is not None
        if command.hidden:
            assert not (PAGES / f"pifopfs-{name}.1").exists()
            continue
        text = shown(PAGES / f"pifopfs-{name}.1")
        assert {"NAME", "SYNOPSIS", "DESCRIPTION", "EXIT STATUS", "SEE ALSO"} <= set(sections(text))
        commands = list(command.commands.values()) if isinstance(command, click.Group) else []
        for each in [command, *commands]:
            for option in each.params:
                if isinstance(option, click.Option) and not option.hidden:
                    assert all(
                        re.search(rf"^ +.*{re.escape(o)}\b", text, re.MULTILINE)
                        for o in option.opts
                    )


def test_the_first_page_has_every_section() -> None:
    text = shown(PAGES / "pifopfs.1")
    wanted = "NAME,SYNOPSIS,DESCRIPTION,COMMANDS,OPTIONS,EXIT STATUS,ENVIRONMENT,FILES,EXAMPLES"
    assert sections(text) == [*wanted.split(","), "SEE ALSO"]
    assert text.rstrip().splitlines()[-1].startswith(f"pifopfs {pifopfs.__version__} ")


def test_every_variable_that_the_program_reads_is_told() -> None:
    text = (PAGES / "pifopfs.1").read_text()
    read = set()
    for path in (ROOT / "pifopfs").rglob("*.py"):
        read |= set(re.findall(r"\bPIFOPFS_[A-Z_]*[A-Z]\b", path.read_text()))
    assert sorted(name for name in read if name not in text) == []


def test_what_is_written_by_hand_belongs_to_a_page() -> None:
    assert {path.stem for path in SECTIONS.glob("*.roff")} <= {page.stem for page in MADE}
