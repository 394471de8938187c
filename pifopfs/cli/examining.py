"""What doctor has found, told to people and to programs."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import click
import trio

from pifopfs.doctor import CHECKS, Finding, Result, State, examine, find_subject
from pifopfs.errors import OptionInvalid

COLOURS = {State.OK: "green", State.WARNING: "yellow", State.PROBLEM: "red", State.SKIPPED: "blue"}
WIDTH = max(map(len, State)) + 2


def report(
    subject: str | None, names: Sequence[str], flags: Mapping[str, Any], *, as_json: bool, code: int
) -> None:
    """Examine, and tell. Exits with `code` where there is a problem. Raises SetupError."""
    known = {check.name: check for check in CHECKS}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise OptionInvalid(f"--check {unknown[0]}: there is none; there are {', '.join(known)}")
    checks = [known[name] for name in known if name in names or not names]
    results = trio.run(examine, find_subject(subject, os.environ, **flags), checks)
    counts = Counter(finding.state for result in results for finding in result.findings)
    if as_json:
        click.echo(json.dumps(_document(results, counts), indent=2))
    else:
        for line in _lines(results, counts):
            click.echo(line)
    sys.exit(code if counts[State.PROBLEM] else 0)


def _document(results: Sequence[Result], counts: Counter[State]) -> dict[str, Any]:
    findings = [
        {
            "check": result.check.name,
            "state": finding.state,
            "text": finding.text,
            "mend": finding.mend,
        }
        for result in results
        for finding in result.findings
    ]
    return {"counts": {state: counts[state] for state in State}, "findings": findings}


def _lines(results: Sequence[Result], counts: Counter[State]) -> Iterator[str]:
    for group, members in groupby(results, lambda result: result.check.group):
        yield click.style(group, bold=True)
        for result in members:
            for finding in result.findings:
                yield from _shown(finding)
    told = {state.value: counts[state] for state in (State.PROBLEM, State.WARNING)}
    yield ", ".join(f"{count} {name}{'' if count == 1 else 's'}" for name, count in told.items())


def _shown(finding: Finding) -> Iterator[str]:
    state = click.style(f"{finding.state:{WIDTH}}", fg=COLOURS[finding.state])
    yield f"  {state}{_printable(finding.text)}"
    if finding.mend:
        yield f"  {'':{WIDTH}}-> {_printable(finding.mend)}"


def _printable(text: str) -> str:
    """On one line, whatever names of files hold."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
