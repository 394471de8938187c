"""wait."""

from __future__ import annotations

from typing import Any

import click

from pifopfs.cli.candidates import folders
from pifopfs.cli.connecting import connected
from pifopfs.cli.ends import END_CODE_HELP, END_CODES, let_signals_end, tell
from pifopfs.cli.loading import loading
from pifopfs.cli.naming import AtService, find
from pifopfs.cli.options import SECONDS, of_folder
from pifopfs.cli.outcomes import Outcome
from pifopfs.cli.reporting import fail
from pifopfs.cli.texts import json_line, shown
from pifopfs.cli.waiting import wait_in_mount
from pifopfs.run.ends import End, words


@click.command("wait", epilog=END_CODE_HELP)
@click.argument("executions", nargs=-1, required=True, metavar="EXECUTION…", shell_complete=folders)
@click.option("--timeout", type=SECONDS, metavar="SECONDS", help="Give up after that.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list, once all have ended.")
@of_folder
@connected
def command(
    executions: tuple[str, ...], *, timeout: float | None, as_json: bool, **service: Any
) -> None:
    """Wait until executions have ended, and print their end reasons.

    EXECUTION… is MOUNTPOINT/executions/NAME…, or FUNCTION EXEC_ID… at the service. Of several, a
    line tells of each when it has ended: the reason, a tab, the execution. The exit code is that of
    the first one, in the order given, that did not go well.
    """
    let_signals_end()
    found = find(executions)

    def tell_end(outcome: Outcome) -> None:
        if not as_json and outcome.execution is not None and outcome.has_ended:
            reason = shown(outcome.execution.end_reason or "")
            line = reason if alone else f"{reason}\t{shown(outcome.given)}"
            tell(line.encode())

    if isinstance(found, AtService):
        with loading(client=True):
            from pifopfs.cli.atservice import wait_at_service

        alone = len(found.ids) == 1
        outcomes = wait_at_service(found, timeout, service, tell_end)
    else:
        alone = len(found) == 1
        outcomes = wait_in_mount(found, timeout, tell_end)
    if as_json:
        tell(json_line([outcome.document() for outcome in outcomes]))
    bad = [outcome for outcome in outcomes if outcome.end is not End.DONE]
    for outcome in bad[1:]:
        click.echo(f"pifopfs: {_sentence(outcome)}", err=True)
    if bad:
        fail(_sentence(bad[0]), END_CODES[bad[0].end])


def _sentence(outcome: Outcome) -> str:
    return f"{shown(outcome.given)} {words(outcome.end, outcome.execution)}"
