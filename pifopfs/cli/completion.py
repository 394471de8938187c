"""completion: what a shell has to be told, so that it completes commands of this program."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from pifopfs.cli import shells
from pifopfs.cli.reporting import EXIT_CODE_HELP

SHELLS = ("bash", "fish", "zsh")


def script(shell: str, program: click.Command) -> str:
    """For one of `SHELLS`."""
    shells.prepare()
    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101  # click has each of them
    return kind(program, {}, "pifopfs", shells.VARIABLE).source()


@click.command("completion", epilog=EXIT_CODE_HELP)
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the script by which SHELL completes pifopfs's commands, options and arguments.

    The package for Debian puts it in place, as do newer versions of pipx. Otherwise, for bash, in
    ~/.bashrc:

    \b
        eval "$(pifopfs completion bash)"

    for zsh, in ~/.zshrc after compinit:

    \b
        eval "$(pifopfs completion zsh)"

    and for fish, once:

    \b
        pifopfs completion fish > ~/.config/fish/completions/pifopfs.fish
    """
    click.echo(script(shell, ctx.find_root().command), nl=False)
