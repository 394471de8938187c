"""Each sentence of docs/SEMANTICS.md is quoted above the test that proves it; no quote is stale.

A quote is a comment directly above a test (above its decorators), whose lines begin with `# > `; a
bare `#` separates two quotes. A row of a table is quoted with ` | ` between its cells. What is
quoted is compared without emphasis, code marks and links. Every word must be in some quote.
"""

from __future__ import annotations

import ast
import errno
import re
from collections.abc import Iterator
from pathlib import Path

from pifopfs import errors
from pifopfs.fuse.errnos import ERRNOS
from tests.doctable import DOCS, cells, rows

SEMANTICS = DOCS / "SEMANTICS.md"
TESTS = Path(__file__).parents[1]
MARK = "# > "

ELSEWHERE = re.compile(r"Semantics|Every call|When something is broken|Tools .*")
"""The introduction, and sections whose tables are the data of other tests."""

NO_CLAIMS = (
    "call | what happens | errors",
    "errno | because",
    "what | errno",
    "After rmdir it is terminated: see Open files.",
    "Best effort for programs that catch the signal",
    "OBSERVABILITY.md says what is in them.",
)
"""What no test can prove: titles of tables, pointers, and best efforts."""


SERVICE_ERRORS: dict[str, list[type[errors.PifopfsError]]] = {
    "no key, wrong key, forbidden": [errors.AccessDenied],
    "unknown execution, input or output": [
        errors.ExecutionUnknown,
        errors.InputUnknown,
        errors.OutputUnknown,
    ],
    "upload after the start": [errors.InputsClosed],
    "too large": [errors.TooLarge],
    "too many executions": [errors.TooManyExecutions],
    "rate limited or overloaded, after the retries": [errors.ServiceBusy],
    "no answer in time": [errors.NoAnswer, errors.ConnectTimedOut],
    "DNS, unreachable": [errors.Unreachable],
    "refused": [errors.ConnectionRefused],
    "TLS": [errors.TlsFailure],
    "a broken connection or answer, a 5xx, any other answer": [
        errors.ConnectionBroken,
        errors.BadAnswer,
        errors.ServiceFailure,
        errors.RequestRejected,
    ],
    "the local disk is full": [errors.LocalStorageFull],
    "the local disk fails": [errors.LocalStorageFailed],
}


def test_the_errors_of_the_service_are_those_of_the_document() -> None:
    told = {row["what"]: row["errno"] for row in rows(SEMANTICS, "Errors of the service")}
    assert told.keys() == SERVICE_ERRORS.keys()
    for what, kinds in SERVICE_ERRORS.items():
        assert {errno.errorcode[ERRNOS[kind]] for kind in kinds} == {told[what]}


# ── The document ──────────────────────────────────────────────────────────────────────────────


def plain(text: str) -> str:
    """Without emphasis, code marks, links and line breaks."""
    text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text)
    return " ".join(re.sub(r"[`*]", "", text).split())


def blocks(document: str) -> Iterator[str]:
    """The paragraphs, points and rows of tables, of the sections that are quoted."""
    quoted, paragraph = True, ""
    for line in [*document.splitlines(), ""]:
        if line.startswith(("|", "#", "- ")) or re.match(r"\d+\. ", line) or not line:
            if quoted and paragraph.strip():
                yield plain(paragraph)
            paragraph = ""
        if line.startswith("|"):
            if quoted and set(line) - set("|-: "):
                yield plain(" | ".join(cells(line)))
        elif line.startswith("#"):
            if line.startswith(("# ", "## ")):
                quoted = not ELSEWHERE.fullmatch(line.lstrip("# "))
        else:
            paragraph += f" {re.sub(r'^([0-9]+[.]|-) ', '', line)}"


# ── The quotes ────────────────────────────────────────────────────────────────────────────────


def comment_above(lines: list[str], first: int) -> list[str]:
    """The comment that ends directly above a line, which is counted from 0."""
    start = first
    while start and lines[start - 1].startswith("#"):
        start -= 1
    return [line for line in lines[start:first] if line.startswith(MARK) or line == "#"]


def first_lines(source: str) -> Iterator[tuple[str, int]]:
    """The name of each test, and its first line, counted from 0."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith(
            "test"
        ):
            decorators = [each.lineno for each in node.decorator_list]
            yield node.name, min([node.lineno, *decorators]) - 1


def quotes() -> Iterator[tuple[str, str]]:
    """All of them, each with the test below it."""
    for path in sorted(TESTS.rglob("test_*.py")):
        lines = path.read_text().splitlines()
        left = sum(line.startswith(MARK) for line in lines)
        for name, first in first_lines(path.read_text()) if left else ():
            comment = comment_above(lines, first)
            left -= sum(line.startswith(MARK) for line in comment)
            for quote in "\n".join(comment).split("\n#\n") if comment else ():
                yield plain(quote.replace(MARK, "")), f"{path.relative_to(TESTS)}::{name}"
        assert not left, f"{path} has quotes that are not directly above a test"


def uncovered(block: str, quoted: list[str]) -> str:
    """What of a block is in no quote, with dots for what is."""
    left = block
    for quote in sorted(quoted, key=len, reverse=True):
        if quote in block:
            start = block.index(quote)
            left = left[:start] + "\0" * len(quote) + left[start + len(quote) :]
    return re.sub(r"\0+", "…", left) if re.search(r"\w", left) else ""


def test_every_quote_is_in_the_document() -> None:
    told = list(blocks(SEMANTICS.read_text()))
    stale = [f"{test}: {quote}" for quote, test in quotes() if not any(quote in b for b in told)]
    assert not stale, "\n".join(stale)


def test_every_word_of_the_document_is_quoted_above_a_test() -> None:
    errnos = [" | ".join(row.values()) for row in rows(SEMANTICS, "Errors of the service")]
    quoted = [*NO_CLAIMS, *errnos, *(quote for quote, _ in quotes())]
    told = blocks(SEMANTICS.read_text())
    missing = [left for block in told if (left := uncovered(block, quoted))]
    assert not missing, "\n".join(missing)


def test_the_check_finds_what_is_not_quoted() -> None:
    """Of three claims the second is not proven."""
    block = plain("One holds. *Two* `holds`. Three holds.")
    assert uncovered(block, ["One holds.", "Three holds."]) == "… Two holds. …"
    assert uncovered(block, [block]) == ""


def test_the_check_finds_paragraphs_points_and_rows() -> None:
    document = "## A\none\ntwo\n\n1. three\n   four\n2. five\n\n| a | b |\n|---|---|\n| c | |\n"
    skipped = "## Tools of a kind\n| x |\n|---|\n\n### Deeper\ny\n"
    assert list(blocks(document + skipped)) == ["one two", "three four", "five", "a | b", "c |"]
