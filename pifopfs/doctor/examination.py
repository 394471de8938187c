"""Every check, side by side, each with a time after which it is given up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import trio

from pifopfs.doctor.findings import Finding, problem, skipped
from pifopfs.doctor.subject import Subject
from pifopfs.doctor.table import Check
from pifopfs.errors import SetupError

PATIENCE = 20.0
"""Seconds for one check: more than any has that waits in an orderly way."""


@dataclass(frozen=True, slots=True)
class Result:
    """A check, and what it found."""

    check: Check
    findings: Sequence[Finding]


async def examine(subject: Subject, checks: Sequence[Check]) -> list[Result]:
    """The results of these checks, in their order. Nothing of this machine is changed."""
    found: dict[str, Sequence[Finding]] = {}

    async def look(check: Check, seen: Subject) -> None:
        found[check.name] = await _bounded(check, seen)

    async with trio.open_nursery() as nursery:
        for check in checks:
            if not check.asks:
                nursery.start_soon(look, check, subject)
        waiting = [check for check in checks if check.asks]
        asked = await _asked(subject) if waiting else subject
        for check in waiting:
            nursery.start_soon(look, check, asked)
    return [Result(check, found[check.name]) for check in checks]


async def _asked(subject: Subject) -> Subject:
    """With the service's answer, or why it cannot even be asked."""
    try:
        return await subject.asked()
    except SetupError as error:
        return replace(subject, failure=error)


async def _bounded(check: Check, subject: Subject) -> Sequence[Finding]:
    """What a check found; a thread that does not come back is left behind."""

    def look() -> list[Finding]:
        return list(check.look(subject))

    try:
        with trio.fail_after(PATIENCE):
            return await trio.to_thread.run_sync(look, abandon_on_cancel=True)
    except trio.TooSlowError:
        return [
            problem(
                f"looking took more than {PATIENCE:g} s, so something hangs",
                "look for a filesystem that does not answer: timeout 5 df",
            )
        ]
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return [skipped(f"it could not be looked at: {where}{error.strerror or error}")]
