"""How shells are answered when they complete a command line: click's way, with two mends.

bash cuts words at colons, and takes what it is told as it is, blanks included. fish's script cuts
descriptions at commas.
"""

from __future__ import annotations

import os
import re
import shlex

from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    add_completion_class,
    split_arg_string,
)

VARIABLE = "_PIFOPFS_COMPLETE"
"""What click looks for: set, the command completes instead of running."""

BASH = """\
# What can follow in a command line of %(prog_name)s. Needs bash 4.4.
%(complete_func)s() {
    local response type value
    response=$(env %(complete_var)s=bash_complete COMP_LINE="${COMP_LINE:0:COMP_POINT}" \\
        COMP_WORDBREAKS="$COMP_WORDBREAKS" "$1" 2>/dev/null)
    while IFS=, read -r type value; do
        case $type in
        dir) COMPREPLY=() && compopt -o dirnames ;;
        file) COMPREPLY=() && compopt -o default ;;
        plain) COMPREPLY+=("$value") ;;
        esac
    done <<<"$response"
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""


class Bash(BashComplete):
    """It is handed the line, not the words that it made of it."""

    source_template = BASH

    def source(self) -> str:
        """The same wherever it is made: click's asks the bash that is here for its version."""
        return self.source_template % self.source_vars()

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words before the cursor's, and that one up to the cursor."""
        line = os.environ["COMP_LINE"]
        words = split_arg_string(line)[1:]
        if not words or (line[-1].isspace() and not words[-1].endswith(line[-1])):
            return words, ""
        return words[:-1], words[-1]

    def format_completion(self, item: CompletionItem[str]) -> str:
        """As bash is to put it in place of what it takes for the word: after the last colon."""
        if item.type in ("dir", "file"):
            return f"{item.type},{item.value}"
        before = ""
        if ":" in os.environ.get("COMP_WORDBREAKS", ""):
            _, incomplete = self.get_completion_args()
            before = incomplete[: incomplete.rfind(":") + 1]
        return f"{item.type},{_quoted(item.value.removeprefix(before))}"


def _quoted(word: str) -> str:
    """With backslashes, so that it goes on as what was typed began."""
    if "\n" in word:
        return shlex.quote(word)
    return re.sub(r"([^\w@%+=:,./~-])", r"\\\1", word)


class Fish(FishComplete):
    """Descriptions are told in full."""

    source_template = FishComplete.source_template.replace(
        'string split "," $completion', 'string split -m 1 "," $completion'
    )


def prepare() -> None:
    """Let click answer as told here, where it is a shell that asks."""
    for kind in (Bash, Fish):
        add_completion_class(kind)
