"""run: the command line. What it takes is loaded while the server of a folder starts."""

from __future__ import annotations

import click

from pifopfs.cli.candidates import functions
from pifopfs.cli.connecting import connected
from pifopfs.cli.ends import END_CODE_HELP, let_signals_end
from pifopfs.cli.loading import loading
from pifopfs.cli.options import SECONDS, of_folder
from pifopfs.paths import find_folder
from pifopfs.run.wishes import parse_inputs, parse_outputs
from pifopfs.server.embedded import starter


@click.command("run", epilog=END_CODE_HELP)
@click.argument("function", shell_complete=functions)
@click.option(
    "-i",
    "--input",
    "inputs",
    multiple=True,
    metavar="NAME=FILE",
    help="An input, and where its bytes are; - is standard input.",
)
@click.option(
    "-o",
    "--output",
    "outputs",
    multiple=True,
    metavar="NAME=FILE",
    help="An output that is wanted, and where it goes; - is standard output.",
)
@click.option("-q", "--quiet", is_flag=True, help="Show neither the log nor progress.")
@click.option("--json", "as_json", is_flag=True, help="Print what came of it as a JSON document.")
@click.option("--keep", is_flag=True, help="Print the execution's id, and do not terminate it.")
@click.option("--partial", is_flag=True, help="Bring outputs, too, where the function has failed.")
@click.option("--timeout", type=SECONDS, metavar="SECONDS", help="Stop it after that.")
@of_folder
@connected
def command(
    function: str,
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    *,
    as_json: bool,
    quiet: bool,
    keep: bool,
    partial: bool,
    timeout: float | None,
    **service: object,
) -> None:
    """Run FUNCTION once, without a mount: upload, start, show the log, download, terminate.

    FUNCTION is as for mount: AUTHOR/ID, a folder that holds a function.json (/…, ./… or ../…), or
    example:NAME. The log goes to stderr as it comes. Outputs are brought where all went well, and
    have their names only once all of them are whole. Ctrl-C stops and terminates the execution.
    """
    let_signals_end()  # the job takes them over
    wanted = parse_inputs(inputs), parse_outputs(outputs)
    folder = find_folder(function)
    if folder is not None:
        starter.prepare(folder)
    with loading(client=True):
        from pifopfs.cli.running import check_stdout, run
        from pifopfs.run.job import Order
    order = Order(*wanted, keep=keep, partial=partial, timeout=timeout, quiet=quiet)
    check_stdout(order, as_json=as_json)
    run(order, function, as_json=as_json, flags=service)
