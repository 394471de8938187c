"""man(7): text with nothing in it that roff would take for a command, and the parts of a page."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable

from tests.manpages.text import Block, Listing, Paragraph

LITERAL = re.compile(
    r"`([^`]+)`"  # as in Markdown
    r"|(?<![\w/.-])(--?[A-Za-z][\w-]*)"  # an option
    r"|\b(PIFOPFS_[A-Z_]+)\b"
    r"|(?<![\w/])((?:~|/etc|/usr|/run)/[\w./*-]*[\w*/])"  # a path
)
PLAIN = {"\\": r"\e", "…": "...", "\u2019": r"\(cq", "—": r"\(em", "~": r"\(ti", "^": r"\(ha"}


def escaped(text: str) -> str:
    """Any text, to be read as it is."""
    return "".join(
        PLAIN.get(char, char if ord(char) < 127 else f"\\[u{ord(char):04X}]") for char in text
    )


def literal(text: str) -> str:
    """What is typed as it is: its hyphens are minus signs."""
    return escaped(text).replace("-", r"\-")


def bold(text: str) -> str:
    return rf"\fB{literal(text)}\fR"


def italic(text: str) -> str:
    return rf"\fI{literal(text)}\fR"


def unfilled(text: str) -> str:
    """Text in which what is typed is bold."""
    out, end = "", 0
    for found in LITERAL.finditer(text):
        out += escaped(text[end : found.start()]) + bold(next(filter(None, found.groups())))
        end = found.end()
    return out + escaped(text[end:])


def prose(text: str) -> str:
    """As `unfilled`, in lines that are not too long."""
    lines = textwrap.wrap(unfilled(text), 78, break_long_words=False, break_on_hyphens=False)
    return "\n".join(map(line, lines))


def line(text: str) -> str:
    """A line of text that begins as a command would."""
    return rf"\&{text}" if text.startswith((".", "'")) else text


def tagged(tag: str, text: str) -> list[str]:
    """An entry of a list; both are roff."""
    return [".TP", line(tag), *([text] if text else [])]


def example(lines: Iterable[str]) -> list[str]:
    return [".PP", ".RS 4", ".nf", *(line(literal(each)) for each in lines), ".fi", ".RE"]


def body(blocks: Iterable[Block]) -> list[str]:
    """The blocks of a help text, each after the first with an empty line above it."""
    out: list[str] = []
    for block in blocks:
        if isinstance(block, Paragraph):
            out += [".PP", prose(block.text)]
        elif isinstance(block, Listing):
            out += [".PP", f"{prose(block.title)}:", *listing(block)]
        else:
            out += example(block.lines)
    return out[1:] if out[:1] == [".PP"] else out


def listing(block: Listing) -> list[str]:
    return [part for name, text in block.rows for part in tagged(bold(name), prose(text))]
