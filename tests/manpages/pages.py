"""Pages: one for the program, one for each of its commands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path

import click

from pifopfs import __version__
from pifopfs.cli.group import pifopfs
from tests.manpages import roff, settings, text

ROOT = Path(__file__).parents[2]
SECTIONS = ROOT / "man" / "sections"
PAGES = ROOT / "man" / "man1"

ORDER = (
    "NAME",
    "SYNOPSIS",
    "DESCRIPTION",
    "COMMANDS",
    "OPTIONS",
    "EXIT STATUS",
    "ENVIRONMENT",
    "FILES",
    "EXAMPLES",
    "NOTES",
    "SEE ALSO",
)
EXIT_CODES = "Exit codes"
TYPES = re.compile(r"\b(INTEGER|FLOAT)( RANGE)?\b")
"""What click shows for a number."""
RANGE = re.compile(r"\s*\[[^]]*\bx\b[^]]*\]")
"""As click shows it, to the last digit."""


def pages() -> dict[str, str]:
    """The content of each page, by the name of its file."""
    root = click.Context(pifopfs, info_name="pifopfs", **pifopfs.context_settings)
    contexts = [root, *_subcommands(root)]
    names = [_name(each) for each in contexts]
    return {f"{_name(each)}.1": _page(each, names) for each in contexts}


def _name(ctx: click.Context) -> str:
    return ctx.command_path.replace(" ", "-")


def _subcommands(ctx: click.Context) -> Iterator[click.Context]:
    """Those that `--help` tells of."""
    group = ctx.command
    assert isinstance(group, click.Group)
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        if command is not None and not command.hidden:
            yield click.Context(command, parent=ctx, info_name=name)


def _page(ctx: click.Context, names: list[str]) -> str:
    sections = _told(ctx)
    for title, lines in _written(_name(ctx)).items():
        sections.setdefault(title, []).extend(lines)
    others = [name for name in names if name != _name(ctx)] if ctx.parent is None else ["pifopfs"]
    references = [rf"{roff.bold(name)}(1)" for name in others]
    sections["SEE ALSO"] = _listed(references, sections.get("SEE ALSO", []))
    unknown = set(sections) - set(ORDER)
    assert not unknown, f"{_name(ctx)}: no place for {unknown}"
    title = f'.TH "{_name(ctx).upper()}" 1 "{_date()}" "pifopfs {__version__}" "User Commands"'
    out = [
        r".\" Made by scripts/man: change the help texts, or man/sections.",
        title,
        ".nh",
        ".ad l",
    ]
    for section in ORDER:
        if sections.get(section):
            out += [f".SH {section}", *sections[section]]
    return "\n".join(out) + "\n"


def _listed(references: list[str], more: list[str]) -> list[str]:
    lines = [*references, *more]
    return [f"{line}," for line in lines[:-1]] + lines[-1:]


def _date() -> str:
    """Of this version, as Debian's changelog has it."""
    changelog = (ROOT / "debian" / "changelog").read_text()
    (date, *_) = re.findall(r"^ -- .*>  (.*)$", changelog, re.MULTILINE)
    return parsedate_to_datetime(date).date().isoformat()


def _told(ctx: click.Context) -> dict[str, list[str]]:
    """What the help texts tell."""
    command = ctx.command
    sections = {
        "NAME": [rf"{roff.literal(_name(ctx))} \- {roff.unfilled(_summary(command))}"],
        "SYNOPSIS": _synopsis(ctx),
        "DESCRIPTION": roff.body(text.blocks(command.help)),
    }
    if isinstance(command, click.Group):
        sections["COMMANDS"] = _commands(ctx)
    sections["OPTIONS"] = _options(ctx)
    sections["EXIT STATUS"] = _exit_status(command)
    if ctx.parent is None:
        mount = pifopfs.get_command(ctx, "mount")
        assert mount is not None
        sections["ENVIRONMENT"] = settings.environment(mount)
    return sections


def _summary(command: click.Command) -> str:
    """The first sentence of its help, as a list of names takes it."""
    sentence = command.get_short_help_str(limit=200).rstrip(".")
    return sentence[:1].lower() + sentence[1:] if sentence[1:2].islower() else sentence


def _synopsis(ctx: click.Context) -> list[str]:
    pieces = ctx.command.collect_usage_pieces(ctx)
    return [f"{roff.bold(ctx.command_path)} " + " ".join(map(roff.italic, pieces))]


def _commands(ctx: click.Context) -> list[str]:
    """Of the program: those with pages of their own. Of another group: all about each."""
    out: list[str] = []
    for each in _subcommands(ctx):
        if ctx.parent is None:
            tag = rf"{roff.bold(_name(each))}(1)"
            out += roff.tagged(tag, roff.prose(_sentence(each.command)))
        else:
            out += [f".SS {roff.literal(each.command_path)}", *_synopsis(each)]
            out += [".PP", *roff.body(text.blocks(each.command.help)), *_options(each)]
    return out


def _sentence(command: click.Command) -> str:
    return command.get_short_help_str(limit=200).rstrip(".") + "."


def _options(ctx: click.Context) -> list[str]:
    out = []
    for param in ctx.command.get_params(ctx):
        names, help_ = param.get_help_record(ctx) or ("", "")
        if help_:  # arguments are told of in the description
            tag = ", ".join(map(_option, TYPES.sub("NUMBER", names).split(", ")))
            out += roff.tagged(tag, roff.prose(RANGE.sub("", help_)))
    return out


def _exit_status(command: click.Command) -> list[str]:
    """What stands below the options of every command; the title that is first is the section's."""
    told = text.blocks(command.epilog)
    if not told:
        return []
    first, *more = told
    assert isinstance(first, text.Listing), command.name
    assert first.title == EXIT_CODES, command.name
    return [*roff.listing(first), *(part for each in more for part in [".PP", *roff.body([each])])]


def _option(name: str) -> str:
    """An option and what it takes."""
    option, blank, value = name.partition(" ")
    return roff.bold(option) + (rf" {roff.italic(value)}" if blank else "")


def _written(name: str) -> dict[str, list[str]]:
    """The sections that are written by hand."""
    path = SECTIONS / f"{name}.roff"
    sections: dict[str, list[str]] = {}
    title = ""
    for line in path.read_text().splitlines() if path.exists() else []:
        if line.startswith(".SH "):
            title = line.removeprefix(".SH ")
            sections[title] = []
        elif not line.startswith(r".\""):
            sections[title].append(line)
    return sections
