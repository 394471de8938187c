"""The variables of the environment, from the table of all settings."""

from __future__ import annotations

import ast
import inspect
import textwrap

import click

from pifopfs.config.options import OF_THE_COMMAND_LINE, OPTIONS, PARTS, TUNABLES, flag, variable
from tests.manpages import roff

EXTRA = {
    "PIFOPFS_API_KEY": "The API key itself. A file is better: other programs of yours cannot "
    "read it from the environment of a process.",
    "PIFOPFS_SYSTEM_CONFIG_DIR": "Where the system's config.toml is, instead of /etc/pifopfs.",
    "PIFOPFS_MEMORY_GUARD": "How the memory of programs is limited; see docs/SERVER.md.",
}
"""Of no option."""
MORE = {"engine_options": "Several are separated by blanks, and quoted as for a shell."}
"""How a variable differs from its option."""


def environment(mount: click.Command) -> list[str]:
    """As roff: those that `mount` has options for, then numbers that few need."""
    helps = {param.name: getattr(param, "help", "") for param in mount.params}
    out = []
    for name in [*OF_THE_COMMAND_LINE, "wait_outage"]:
        text = helps.get(name) or ""
        told = " ".join(filter(None, (f"As {flag(name)}: {text}", MORE.get(name))))
        out += roff.tagged(roff.bold(variable(name)), roff.prose(told))
    for name, text in EXTRA.items():
        out += roff.tagged(roff.bold(name), roff.prose(text))
    out += [".PP", "Deadlines, intervals and sizes; few need to change them:"]
    for name, text in _described().items():
        if name != "wait_outage":
            tag = rf"{roff.bold(variable(name))} ({_default(name)})"
            out += roff.tagged(tag, roff.prose(text))
    return out


def _default(name: str) -> str:
    default = OPTIONS[name].default()
    return str(default) if isinstance(default, int) else f"{default:g}"


def _described() -> dict[str, str]:
    """Each field of the parts with the text that stands below it."""
    found = {}
    for part in PARTS:
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(part))).body
        assert isinstance(tree, ast.ClassDef)
        for field, below in zip(tree.body, [*tree.body[1:], None], strict=True):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                found[field.target.id] = _docstring(below)
    return {name: text for name, text in found.items() if name in TUNABLES}


def _docstring(below: ast.stmt | None) -> str:
    if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
        text = inspect.cleandoc(str(below.value.value))
        return " ".join(text.split("\n\n")[0].split())
    return ""
