"""How an execution ended: one word, one exit code, one line of the documentation."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from pifopfs.cli.ends import END_CODE_HELP, END_CODES
from pifopfs.cli.logs import command as logs
from pifopfs.cli.ps import command as ps
from pifopfs.cli.reporting import EXIT_CODES
from pifopfs.cli.run import command as run
from pifopfs.cli.wait import command as wait
from pifopfs.run.ends import REASONS, WORDS, End, how_ended
from pifopfs.wire import EndReason, Execution
from tests.doctable import DOCS, rows

COMMANDS = DOCS / "COMMANDS.md"


def test_every_end_has_words_and_a_code_of_its_own() -> None:
    assert set(END_CODES) == set(WORDS) == set(End)
    codes = list(END_CODES.values())
    assert len(set(codes)) == len(codes)
    assert not set(codes) & {code for _, code in EXIT_CODES}
    assert all(code < 124 for code in codes)  # 124 and more are timeout's, the shell's, signals'


def test_the_documented_table_is_that_of_the_code() -> None:
    documented = {row["name"]: int(row["code"]) for row in rows(COMMANDS, TABLE)}
    assert documented == {str(end): code for end, code in END_CODES.items()}


TABLE = "How a job ended, as an exit code"


def test_the_help_has_the_same_codes() -> None:
    described = END_CODE_HELP.partition("How the execution ended:")[2]
    codes = [int(code) for code in re.findall(r"^  (\d+)  ", described, re.MULTILINE)]
    assert codes == [code for code in END_CODES.values() if code]


@pytest.mark.parametrize("command", [run, ps, logs, wait])
def test_every_option_is_documented(command: click.Command) -> None:
    text = COMMANDS.read_text()
    shared = {"--endpoint", "--allow-plain-http", "--api-key-file", "--ca-file", "--isolation"}
    options = {name for each in command.params for name in each.opts if name.startswith("--")}
    documented = set(re.findall(r"--[a-z-]+", text))
    short = {"--input", "--output", "--follow"}  # as -i, -o, -f
    assert options - shared - short <= documented


def test_every_reason_of_the_service_has_an_end() -> None:
    assert set(EndReason) == set(REASONS) - {None}


def execution(reason: str | None, exit_code: int | None, *, stopped: bool | None) -> Execution:
    document = {"id": "exec_1", "status": "ended", "end_reason": reason}
    return Execution.from_json({**document, "exit_code": exit_code, "stopped": stopped})


@pytest.mark.parametrize(
    ("reason", "code", "stopped", "end"),
    [
        ("normal", 0, False, End.DONE),
        ("normal", None, None, End.DONE),
        (None, None, None, End.DONE),
        ("", 1, None, End.FAILED),
        ("normal", 143, True, End.STOPPED),
        ("out-of-memory", 137, False, End.OUT_OF_MEMORY),
        ("timeout", 0, None, End.TIMEOUT),
        ("system-error", None, True, End.SYSTEM_ERROR),
        ("unheard-of", 0, None, End.OTHER),
    ],
)
def test_a_limit_says_more_than_an_exit_code(
    reason: str | None, code: int | None, stopped: bool | None, end: End
) -> None:
    assert how_ended(execution(reason, code, stopped=stopped)) is end


def test_the_page_names_only_files_that_are_there() -> None:
    for name in re.findall(r"\]\(([A-Z]+\.md)\)", COMMANDS.read_text()):
        assert Path(DOCS / name).is_file()
