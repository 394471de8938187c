"""Tools on the tree: what lists it costs nothing, what removes it terminates, nothing hangs.

Every row finds three executions: `p` is pending, `r` runs, `e` has ended.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fakeservice import FakeExecution
from tests.mount.tools.site import Site, run, shared_site, skip_without

WORLD = """
cd executions
rmdir -- * 2>/dev/null
mkdir p r e
echo 1,2 > p/input/coords; echo 3 > r/input/coords
echo 1 > r/start; echo 1 > e/start; cat e/wait
"""


def begin(execution: FakeExecution) -> None:
    """What an execution does that was started: the one without an input ends at once."""
    execution.log = b"printed\n"
    if not execution.inputs:
        execution.end("normal", result=b"r" * 3000, empty=b"")


@pytest.fixture
def site(request: pytest.FixtureRequest) -> Site:
    """The mount, with the three executions and no others."""
    site = shared_site(request.session)
    site.service.on_start = begin
    site.service.supports_head = site.service.tells_length = True
    run(site.mount.path, site.mount.root, WORLD)
    return site


# ── The rows ──────────────────────────────────────────────────────────────────────────────────

NONE: frozenset[str] = frozenset()
LOOKS = frozenset({"status", "size"})
READS = LOOKS | {"log", "output"}
ENDS = LOOKS | {"terminate"}
CREATES = frozenset({"create"})

SILENT = "(?!)"
DENIED = r"(start|stop).*Permission denied|failure status|some files/attrs"
"""What is said of the two files that can't be read."""


@dataclass(frozen=True, slots=True)
class Row:
    """A script, run at the top of the mount, and what comes of it."""

    script: str
    out: str = ""
    status: int = 0
    err: str = SILENT
    """A pattern that each line of stderr has; by default there is none."""
    asks: frozenset[str] = LOOKS
    """The requests that it may make."""
    left: str = "e p r"
    """The executions there are afterwards, here and at the service."""


JOB = "end_reason error exit_code id input log output start status status.json stop"
TREE = "\n".join(
    sorted(
        [".", "./executions", "./function.json"]
        + [f"./executions/{job}" for job in "epr"]
        + [f"./executions/{job}/{name}" for job in "epr" for name in JOB.split()]
        + [f"./executions/{job}/input/coords" for job in "pr"]
        + [f"./executions/e/output/{name}" for name in ("empty", "result")]
    )
)

LONG = """\
-r-------- 7 end_reason
-r-------- 0 error
-r-------- 0 exit_code
-r-------- 22 id
drwx------ 0 input
-rw------- 0 log
drwx------ 0 output
--w------- 0 start
-r-------- 6 status
--w------- 0 stop
-rw------- 0 empty
-rw------- 3000 result"""
LS = "-lR executions/e | awk 'NF > 8 && !/json/ {print $1, $5, $9}'"

STAT = "-c '%F, %a, %s, %h' executions/e executions/e/output/result executions/e/start"
STATED = "directory, 700, 0, 1\nregular file, 600, 3000, 1\nregular empty file, 200, 0, 1"

COMPLETE = "compgen -f executions/e/sta | sort; echo executions/*/id executions/exec_*"
COMPLETED = """\
executions/e/start
executions/e/status
executions/e/status.json
executions/e/id executions/p/id executions/r/id executions/exec_*"""

TESTS = """
cd executions
for it in "-f e/log" "-d e" "-d e/output" "-e e/wait" "-s e/output/result" "-x e" \\
    "-w p/input/coords" "-w p/start" "-r r/log" "! -s e/output/empty" "! -x e/log" \\
    "! -f r/output/result" "! -e nothing" "! -L e" "! -p e/start"
do test $it || echo "not $it"; done
"""

INSIDE = """
cd executions/e; rmdir ../e
pwd | grep -o /executions/e
ls; cat log; touch input/x; echo 1 > start; echo x > new; mkdir new; find .
cd ..; ls
"""

LINKED = """
id=$(cat executions/p/id)
readlink executions/$id; realpath executions/$id | grep -o /executions/p; cat executions/$id/status
"""

EXCHANGE = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
print(libc.renameat2(-100, b"executions/p", -100, b"executions/r", 2))
print(os.strerror(ctypes.get_errno()))
"""

WALK = """
import os
names = [os.path.join(folder, name) for folder, some, more in os.walk(".") for name in some + more]
print(len([os.lstat(name) for name in names]))
"""

COPIED = "cd $T/copy && cat log && wc -c < output/result && ls"
NOT_CONTROLS = "--exclude=start --exclude=stop"

ROWS = {
    "ls -lR": Row(f"ls {LS}", LONG),
    "ls -la": Row("ls -la executions | awk '{print $9}' | sort", "\ne\np\nr", asks=NONE),
    "find": Row("find . | sort", TREE),
    "find -newer": Row(
        "find executions -newer executions/p/start -name 'res*'", "executions/e/output/result"
    ),
    "find -size": Row("find executions -size +2k", "executions/e/output/result"),
    "find -delete": Row("find executions/e -delete", asks=ENDS, left="p r"),
    "du": Row("du -b executions/e/output; du -s . | cut -f 2", "3000\texecutions/e/output\n."),
    "stat": Row(f"stat {STAT}", STATED),
    "df": Row("df --output=fstype . | tail -n 1", "fuse.pifopfs", asks=NONE),
    "bash completion and globs": Row(COMPLETE, COMPLETED, asks=NONE),
    "test": Row(TESTS),
    "python os.walk": Row(f"$PY -c '{WALK}'", str(len(TREE.splitlines()) - 1)),
    "grep -r": Row(
        "grep -r printed . | sort",
        "./executions/e/log:printed\n./executions/r/log:printed",
        err=DENIED,
        asks=READS,
    ),
    "git grep --no-index": Row(
        "git grep --no-index -c nowhere -- executions", status=1, err=DENIED, asks=READS
    ),
    "rmdir": Row("rmdir executions/r", asks=ENDS, left="e p"),
    "rmdir of input or output": Row(
        "rmdir executions/e/output executions/p/input; cat executions/p/input/coords", "1,2"
    ),
    "rm -r": Row("rm -r executions/r", asks=ENDS, left="e p"),
    "rm -rf": Row("rm -rf executions/*", asks=ENDS, left=""),
    "rm -rf of output": Row(
        "rm -rf executions/e/output; wc -l < executions/e/output/empty", "0", asks=READS
    ),
    "rm -d": Row("rm -d executions/e", status=1, err="Directory not empty", asks=NONE),
    "rm of a link exec_…": Row(
        "rm executions/$(cat executions/p/id)", status=1, err="Operation not permitted"
    ),
    "shutil.rmtree": Row(
        "$PY -c 'import shutil; shutil.rmtree(\"executions/e\")'", asks=ENDS, left="p r"
    ),
    "mkdir -p": Row("mkdir -p executions/a/input executions/a", asks=CREATES, left="a e p r"),
    "mkdir -p a/b": Row(
        "mkdir -p executions/a/b", status=1, err="Permission denied", asks=CREATES, left="a e p r"
    ),
    "install -d": Row("install -d -m 700 executions/a", asks=CREATES, left="a e p r"),
    "mv": Row("mv executions/p executions/q", asks=NONE, left="e q r"),
    "mv -T to a name that is taken": Row(
        "mv -T executions/p executions/r", status=1, err="Directory not empty", asks=NONE
    ),
    "mv into another execution": Row(
        "mv executions/p executions/r", status=1, err="Operation not permitted", asks=NONE
    ),
    "mv of an output to a local disk": Row(
        "mv executions/e/output/result $T; wc -c < $T/result; ls executions/e/output",
        "3000\nempty\nresult",
        asks=READS,
    ),
    "mv of an execution to a local disk": Row(
        "mv executions/e $T", status=1, err=DENIED, asks=READS
    ),
    "RENAME_EXCHANGE": Row(f"$PY -c '{EXCHANGE}'", "-1\nInvalid argument", asks=NONE),
    "readlink, realpath of exec_…": Row(LINKED, "p\n/executions/p\npending"),
    "ln, ln -s, mkfifo": Row(
        "cd executions; ln e/id p/input/x; ln -s a b; mkfifo p/input/x",
        status=1,
        err="Operation not permitted",
        asks=NONE,
    ),
    "touch of a new name elsewhere": Row(
        "cd executions; touch x e/x e/output/x", status=1, err="Permission denied", asks=LOOKS
    ),
    "touch of a directory": Row("touch . executions executions/p executions/p/input", asks=NONE),
    "chmod -R": Row(
        "chmod -R u+rwX executions/p", status=1, err="Operation not permitted", asks=NONE
    ),
    "chmod -R of input": Row(
        "chmod -R 700 executions/p/input; stat -c %a executions/p/input/coords", "700", asks=NONE
    ),
    "a working directory that was terminated": Row(
        INSIDE,
        "/executions/e\np\nr",
        err="No such file or directory",
        asks=ENDS,
        left="p r",
    ),
    "cp -a of an execution": Row(
        f"cp -a executions/e $T/copy; {COPIED}",
        "printed\n3000\n" + "\n".join(JOB.replace("start ", "").replace(" stop", "").split()),
        err=DENIED,
        asks=READS,
    ),
    "tar c of an execution": Row(
        "tar c executions/e | tar xO executions/e/output/result executions/e/log | wc -c",
        "3008",
        err=DENIED,
        asks=READS,
    ),
    "tar c of a running execution": Row(
        f"tar cf $T/x {NOT_CONTROLS} executions/r && tar xOf $T/x executions/r/log",
        "printed",
        asks=READS,
    ),
    "rsync -a of the tree": Row(
        f"rsync -a {NOT_CONTROLS} executions/ $T && cat $T/*/log && wc -c < $T/e/output/result",
        "printed\nprinted\n3000",
        asks=READS,
    ),
    "busybox ls -lR": Row(f"busybox ls {LS}", LONG),
    "busybox find": Row("busybox find . | sort", TREE),
    "busybox du": Row("busybox du -s executions/e | cut -f 2", "executions/e"),
    "busybox stat": Row(f"busybox stat {STAT}", STATED),
    "busybox rm -r": Row("busybox rm -r executions/e", asks=ENDS, left="p r"),
    "busybox rm -rf": Row("busybox rm -rf executions/*", asks=ENDS, left=""),
    "busybox mkdir -p": Row("busybox mkdir -p executions/a/input", asks=CREATES, left="a e p r"),
    "busybox mv": Row("busybox mv executions/p executions/q", asks=NONE, left="e q r"),
    "uutils ls -lR": Row(f"$U/ls {LS}", LONG),
    "uutils du": Row("$U/du -s executions/e | cut -f 2", "executions/e"),
    "uutils stat": Row(f"$U/stat {STAT}", STATED),
    "uutils rm -r": Row("$U/rm -r executions/e", asks=ENDS, left="p r"),
    "uutils rm -rf": Row("$U/rm -rf executions/*", asks=ENDS, left=""),
    "uutils mkdir -p": Row("$U/mkdir -p executions/a/input", asks=CREATES, left="a e p r"),
    "uutils mv": Row("$U/mv executions/p executions/q", asks=NONE, left="e q r"),
}


@pytest.mark.parametrize("name", ROWS)
def test_tool(site: Site, name: str) -> None:
    row = ROWS[name]
    skip_without(row.script)
    before = len(site.service.requests)
    done = run(site.mount.path, site.scratch(), row.script, check=False)
    assert done.stdout.rstrip("\n") == row.out
    assert all(re.search(row.err, line) for line in done.stderr.splitlines()), done.stderr
    assert bool(done.stderr) == (row.err != SILENT)
    assert done.returncode == row.status
    asked = [kind for kind, _ in site.asked_since(before)]
    assert set(asked) <= row.asks
    assert asked.count("size") <= 2
    assert left(site) == row.left.split()
    site.check_log()


def left(site: Site) -> list[str]:
    """The names of the executions that are here, which are as many as at the service."""
    names = run(site.mount.path, Path("/"), "ls executions").stdout.split()
    assert len(names) == len(site.service.executions)
    return names
