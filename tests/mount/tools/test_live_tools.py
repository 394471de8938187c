"""Tools on `log`, `status` and `status.json` while the execution runs and prints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pytest

from tests.mount.tools.live import (
    catches_up,
    ends_with_it,
    follows,
    follows_to_the_end,
    follows_whole_lines,
    looks,
    on_a_terminal,
    outlives,
    shows_the_status,
    tells_the_status,
    tells_what_was_opened,
)
from tests.mount.tools.site import Job, Site, shared_site, skip_without


@pytest.fixture
def site(request: pytest.FixtureRequest) -> Site:
    return shared_site(request.session)


# ── The rows ──────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Row:
    """A tool, as it is used in an execution's directory, and how it behaves."""

    command: str
    behaves: Callable[[Job, str], None] = looks


PYTHON_LINES = """
import time
with open("log", newline="") as log:
    ended = False
    while True:
        line = log.readline()
        if line:
            print(line, end="", flush=True)
        elif ended:
            break
        else:
            ended = open("status").read() == "ended\\n"
            time.sleep(0.02)
"""

PYTHON_EPOLL = """
import select, sys
log, wait = open("log", "rb", buffering=0), open("wait")
watched = select.epoll()
watched.register(wait, select.EPOLLIN)
ended = False
while not ended:
    ended = bool(watched.poll(0.05))
    sys.stdout.buffer.write(open("log", "rb").read()[log.tell():] and log.read())
    sys.stdout.flush()
"""

PYTHON_POLL_LOG = """
import select, sys
log = open("log", "rb", buffering=0)
ready = select.poll()
ready.register(log, select.POLLIN)
assert ready.poll(0) == [(log.fileno(), select.POLLIN)], "a file is always ready"
sys.stdout.buffer.write(log.read())
"""

PYTHON_MMAP = """
import mmap, sys
with open("log", "rb") as log, mmap.mmap(log.fileno(), 0, prot=mmap.PROT_READ) as mapped:
    sys.stdout.buffer.write(mapped[:])
"""

UNTIL_THE_END = "cat wait > $T/reason & tail -c +1 -s 0.1 -f --pid=$! log"

CAT_LOOP = """
known=x
until [ "$status" = ended ]; do
    status=$(cat status) now=$(cat log; echo x)
    printf %s "${now:${#known} - 1:-1}"; known=$now
    sleep 0.05
done
"""

ROWS = {
    "cat": Row("cat log"),
    "cat in a loop": Row(CAT_LOOP, follows_to_the_end),
    "tail -f": Row("exec tail -f log", follows),
    "tail -F": Row("exec tail -F log", follows),
    "tail -f --pid": Row(UNTIL_THE_END, follows_to_the_end),
    "tail -f --pid, slow service": Row(UNTIL_THE_END, partial(follows_to_the_end, slowly=True)),
    "tail -f, then rmdir": Row("exec tail -c +1 -s 0.1 -f log", partial(outlives, says="")),
    "tail -F, then rmdir": Row(
        "exec tail -c +1 -s 0.1 -F log",
        partial(outlives, says="inaccessible: No such file or directory"),
    ),
    "tail -f --pid, then rmdir": Row(UNTIL_THE_END, ends_with_it),
    "tail -n": Row("tail -n 2 log"),
    "tail -c +N": Row("tail -c +9 log"),
    "tail -c +N -f": Row("exec tail -c +1 -s 0.1 -f log", follows),
    "less +F": Row("less +F log", partial(on_a_terminal, leave="\x03q")),
    "less": Row("less log"),
    "watch cat": Row("watch -n 0.1 -t cat log", partial(on_a_terminal, leave="\x03")),
    "grep": Row("grep -n line log"),
    "wc": Row("wc log | xargs"),
    "head -n": Row("head -n 2 log"),
    "head -c": Row("head -c 12 log"),
    "sort": Row("sort log"),
    "sed": Row("sed -n '2,$p' log"),
    "awk": Row("awk '{ print NR, length }' log"),
    "while read": Row('while IFS= read -r line || [ "$line" ]; do echo "$line"; done < log'),
    "cp": Row("cp log $T/copy && cat $T/copy"),
    "cp -u": Row("cp -u log $T/copy && cat $T/copy", catches_up),
    "rsync -a": Row("rsync -a log $T/copy && cat $T/copy", catches_up),
    "rsync -I": Row("rsync -I log $T/copy && cat $T/copy"),
    "python open().read()": Row("$PY -c 'print(open(\"log\").read())'"),
    "python readline in a loop": Row(f"exec $PY -c '{PYTHON_LINES}'", follows_to_the_end),
    "python readline, slow service": Row(
        f"exec $PY -c '{PYTHON_LINES}'", partial(follows_to_the_end, slowly=True)
    ),
    "mmap": Row(f"$PY -c '{PYTHON_MMAP}'"),
    "poll on log": Row(f"$PY -c '{PYTHON_POLL_LOG}'"),
    "epoll on wait, then read log": Row(f"exec $PY -c '{PYTHON_EPOLL}'", follows_to_the_end),
    "busybox cat": Row("busybox cat log"),
    "busybox tail -f": Row("exec busybox tail -f log", follows),
    "busybox tail -F": Row("exec busybox tail -F log", follows),
    "busybox tail -n": Row("busybox tail -n 2 log"),
    "busybox wc": Row("busybox wc log | xargs"),
    "busybox head": Row("busybox head -n 2 log"),
    "uutils cat": Row("$U/cat log"),
    "uutils tail -f": Row("exec $U/tail -f log", follows_whole_lines),
    "uutils tail -f --use-polling": Row(
        "exec $U/tail -s 0.1 --use-polling -f log", follows_whole_lines
    ),
    "uutils tail -n": Row("$U/tail -n 2 log"),
    "uutils wc": Row("$U/wc log | xargs"),
    "uutils head": Row("$U/head -n 2 log"),
    "test -s": Row("test -s log", tells_what_was_opened),
    "cat status": Row("cat status", tells_the_status),
    "until grep -q ended status": Row(
        "until grep -q ended status; do cat status; done; cat status", shows_the_status
    ),
    "jq on status.json": Row("jq -r .status status.json", tells_the_status),
    "python json.load of status.json": Row(
        '$PY -c \'import json; print(json.load(open("status.json"))["status"])\'',
        tells_the_status,
    ),
    "rsync -I of status.json": Row(
        'rsync -I status.json $T/ && sed -n \'s/ *"status": "\\(.*\\)",/\\1/p\' $T/status.json',
        tells_the_status,
    ),
}


@pytest.mark.parametrize("name", ROWS)
def test_tool(site: Site, name: str) -> None:
    row = ROWS[name]
    skip_without(row.command)
    row.behaves(site.create(), row.command)
    site.check_log()
