"""What a mount tells of itself: `.pifopfs`, `df -i`, dumps, and the log's formats."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.doctable import DOCS, rows
from tests.fakeservice import FakeService, Handler, refuse, until
from tests.functions import write_function
from tests.mount.daemonlog import LINE
from tests.mount.harness import PIFOPFS, Mount
from tests.mount.test_secrets import SECRET
from tests.mount.test_serve import serving

OBSERVABILITY = DOCS / "OBSERVABILITY.md"
DUMP = r"pifopfs\.observing\.dumps: SIGUSR1"
FORGED = "x\n2026-11-27 00:49:11,228 ERROR pifopfs.mount: all is lost"

Metrics = dict[tuple[str, ...], float]
"""The values by name and by those of the labels, in the order of the labels' names."""


def metrics(mount: Mount) -> Metrics:
    """What `stats` has, read by the parser of Prometheus."""
    found = {}
    for family in text_string_to_metric_families(mount.out("cat .pifopfs/stats")):
        for sample in family.samples:
            assert sample.labels.pop("mountpoint") == str(mount.path)
            labels = [sample.labels[name] for name in sorted(sample.labels)]
            found[sample.name.removeprefix("pifopfs_"), *labels] = sample.value
    return found


def requests(mount: Mount) -> list[dict[str, Any]]:
    return [json.loads(line) for line in mount.out("cat .pifopfs/requests").splitlines()]


# ── The directory ─────────────────────────────────────────────────────────────────────────────


# > `.pifopfs/` at the mountpoint is what the mount tells of itself: `stats` (what it counts, in the
# > text format of Prometheus), `config` (every setting, and where it comes from) and `requests`
# > (the last thousand requests to the service, each a line of JSON). It is reachable by name and
# > not listed, as `wait`, so that `find`, `grep -r` and `du` don't see it. Its files can only be
# > read.
def test_it_is_reachable_by_name_and_not_listed(job: Mount) -> None:
    assert job.out("ls -A") == "executions\nfunction.json\n"
    assert ".pifopfs" not in job.out("find . ; du -a; grep -rc . . 2>&1 || true")
    assert job.out("ls .pifopfs; cd .pifopfs && stat -c '%A %n' *") == (
        "config\nrequests\nstats\n-r-------- config\n-r-------- requests\n-r-------- stats\n"
    )
    assert "File exists" in job.sh("mkdir .pifopfs", check=False).stderr
    assert "Permission denied" in job.sh("echo > .pifopfs/stats", check=False).stderr
    assert "No such file" in job.sh("cat .pifopfs/nothing", check=False).stderr
    assert job.sh("rm -rf .pifopfs/stats .pifopfs", check=False).returncode == 1
    assert job.out("cat .pifopfs/config").startswith("api_key ")


# > Each `open` makes the text anew, without a request to the service, and their size is 0, as in
# > `/proc`.
def test_reading_it_makes_no_request(job: Mount, service: FakeService) -> None:
    asked = len(service.requests)
    service.down()
    first = job.out("cat .pifopfs/*; stat -c %s .pifopfs/*")
    assert first.endswith("0\n0\n0\n")
    assert job.out("cp -r .pifopfs/. $M/../copied; ls $M/../copied") == "config\nrequests\nstats\n"
    assert (job.root / "copied" / "config").read_text() == job.out("cat .pifopfs/config")
    assert job.out("cat .pifopfs/stats") not in first
    service.up()
    assert len(service.requests) == asked


def test_config_tells_where_each_setting_comes_from_and_never_the_key(service: FakeService) -> None:
    root = service.socket.parent
    (root / "key").write_text(SECRET + "\n")
    (root / "key").chmod(0o600)
    args = ("--endpoint", service.endpoint, "--api-key-file", str(root / "key"))
    with Mount(root, "joe/tsp", *args, env={"PIFOPFS_FRESHNESS": "0.7"}) as mount:
        mount.sh("mkdir executions/j")
        shown = mount.out("cat .pifopfs/*")
        assert SECRET not in shown
        assert re.search(rf"^endpoint +{service.endpoint} +.*--endpoint", shown, re.MULTILINE)
        assert re.search(r"^freshness +0\.7 +.*PIFOPFS_FRESHNESS", shown, re.MULTILINE)
        assert str(root / "key") in shown


# ── stats ─────────────────────────────────────────────────────────────────────────────────────


def busy(mount: Mount, service: FakeService) -> None:
    """Something of everything that is counted."""
    mount.sh("mkdir executions/j; printf 12345 > executions/j/input/coords")
    service.fault("status", refuse(503), times=1)
    until(lambda: service.count("upload") == 1)
    service.only().end(result=b"x" * 1000)
    until(lambda: mount.out("cat executions/j/status") == "ended\n")
    mount.sh("cat executions/j/output/result executions/j/output/result; cat nothing || true")
    service.fault("create", refuse(429), times=1)
    mount.sh("mkdir executions/k || true")


def test_stats_counts_what_was_done(mount: Mount, service: FakeService) -> None:
    busy(mount, service)
    found = metrics(mount)
    assert found["mount_info", "joe/tsp"] == 1
    assert found["fuse_requests_total", "mkdir"] == 2
    assert found["fuse_requests_total", "write"] == 1
    assert found["fuse_written_bytes_total",] == 5
    assert found["fuse_read_bytes_total",] >= 1000
    assert found["fuse_errors_total", "EDQUOT", "mkdir"] == 1
    assert found["fuse_errors_total", "ENOENT", "lookup"] >= 1
    assert found["fuse_call_duration_seconds_count", "mkdir"] == 2
    assert found["fuse_call_duration_seconds_bucket", "+Inf", "mkdir"] == 2
    assert found["http_requests_total", "200", "create"] == 1
    assert found["http_requests_total", "429", "create"] == 1
    assert found["http_retries_total", "status"] == 1
    assert found["http_sent_bytes_total", "upload"] == 5
    assert found["http_received_bytes_total", "output"] == 1000
    assert found["http_request_duration_seconds_count", "create"] == 2
    assert 0 < found["http_request_duration_seconds_sum", "create"] < 10
    assert found["http_connections",] >= 1
    assert (found["executions", "ended"], found["executions", "pending"]) == (1, 0)
    assert (found["cache_bytes",], found["cache_files",]) == (1000, 1)
    assert (found["cache_hits_total",], found["cache_misses_total",]) == (1, 1)
    assert found["cache_limit_bytes",] == 10 * 2**30
    assert (found["service_down",], found["service_down_since_seconds",]) == (0, 0)
    assert 0 < found["uptime_seconds",] < 60
    assert "executions_allowed" not in {name for name, *_ in found}


def test_open_files_and_blocked_calls_are_counted_while_they_last(
    job: Mount, service: FakeService
) -> None:
    service.only().status = "running"
    until(lambda: job.out("cat executions/j/status") == "running\n")
    waiting = job.spawn("cat", "executions/j/wait")
    until(lambda: metrics(job)["open_handles",] == 1)
    until(lambda: metrics(job)["fuse_calls",] == 2)  # and the open of `stats`
    service.only().end()
    assert waiting.wait(20) == 0
    until(lambda: metrics(job)["open_handles",] == 0)
    assert metrics(job)["fuse_call_duration_seconds_count", "wait"] >= 1


def test_an_output_that_makes_room_for_another_is_counted(service: FakeService) -> None:
    root, env = service.socket.parent, {"PIFOPFS_CACHE_SIZE": "1500"}
    with Mount(root, "joe/tsp", "--endpoint", service.endpoint, env=env) as mount:
        mount.sh("mkdir executions/j; echo 1 > executions/j/start")
        service.only().end(a=b"x" * 1000, b=b"y" * 1000)
        until(lambda: mount.out("cat executions/j/status") == "ended\n")
        mount.sh("cat executions/j/output/*")
        until(lambda: metrics(mount)["cache_evictions_total",] == 1)


def test_a_service_that_is_down_shows_in_stats(mount: Mount, service: FakeService) -> None:
    service.down()
    for _ in range(4):
        mount.sh("mkdir executions/j", check=False)
    found = metrics(mount)
    assert found["service_down",] == 1
    assert found["start_time_seconds",] < found["service_down_since_seconds",]
    assert found["http_held_back_total",] >= 1
    assert found["http_requests_total", "Unreachable", "create"] == 3


def test_the_metrics_are_those_of_the_document(mount: Mount, service: FakeService) -> None:
    allow(service, 3)
    busy(mount, service)
    mount.umount()
    mount.mount()
    busy_again = mount.out(
        "cat executions/j/output/result; cat executions/nothing; ls", check=False
    )
    assert busy_again
    told = {
        row["metric"].strip("`"): (row["type"], set(re.findall(r"`(\w+)`", row["labels"])))
        for row in rows(OBSERVABILITY, "The metrics")
    }
    found = {}
    for family in text_string_to_metric_families(mount.out("cat .pifopfs/stats")):
        name = family.name + ("_total" if family.type == "counter" else "")
        labels = {label for sample in family.samples for label in sample.labels}
        found[name] = (family.type, labels - {"mountpoint", "le"})
        assert not family.samples or "mountpoint" in labels
    assert found.keys() == told.keys()
    for name, (kind, labels) in found.items():
        assert kind == told[name][0]
        assert labels in (told[name][1], set()), name  # none where nothing was counted yet


# ── requests ──────────────────────────────────────────────────────────────────────────────────


def test_requests_shows_what_was_asked_and_how_it_went(mount: Mount, service: FakeService) -> None:
    busy(mount, service)
    listed = requests(mount)
    assert [line["id"] for line in listed if line["attempts"] == 1] == [
        id_ for id_ in service.request_ids if service.request_ids.count(id_) == 1
    ]
    (created, refused) = (line for line in listed if line["endpoint"] == "create")
    assert (created["method"], created["path"]) == ("POST", "/joe/tsp/executions")
    assert (created["code"], created["error"]) == (200, None)
    assert (refused["code"], refused["error"]) == (429, "TooManyExecutions")
    assert refused["id"] in next(line for line in mount.log.splitlines() if "mkdir k" in line)
    told = {name for row in rows(OBSERVABILITY, "`.pifopfs/`") for name in _names(row["field"])}
    assert set(created) == told


def _names(cell: str) -> list[str]:
    return re.findall(r"`(\w+)`", cell)


# ── df -i ─────────────────────────────────────────────────────────────────────────────────────


def inodes(mount: Mount) -> list[str]:
    return mount.out("df --output=itotal,iused,iavail,ipcent . | tail -n 1").split()


def allow(service: FakeService, number: int) -> None:
    """Tell that a key may run so many executions at once."""

    def told(handler: Handler) -> None:
        handler.json({"id": "tsp", "author": "joe", "max_executions": number})

    service.fault("function", told)


# > `df -i` counts executions: used are those that have a name here, of a thousand million.
def test_df_counts_executions(mount: Mount, service: FakeService) -> None:
    assert inodes(mount) == ["1000000000", "0", "1000000000", "0%"]
    mount.sh("mkdir executions/a executions/b")
    asked = len(service.requests)
    assert inodes(mount) == ["1000000000", "2", "999999998", "1%"]
    assert len(service.requests) == asked


# > Where the service tells how many executions the key may run at once, as ours does, the total is
# > that, and used are those that run, as far as this mount knows.
def test_df_counts_those_that_run_where_their_number_is_limited(service: FakeService) -> None:
    allow(service, 4)
    with Mount(service.socket.parent, "joe/tsp", "--endpoint", service.endpoint) as mount:
        mount.sh("mkdir executions/a executions/b; echo 1 > executions/b/start")
        assert inodes(mount) == ["4", "1", "3", "25%"]
        assert metrics(mount)["executions_allowed",] == 4


# ── Dumps ─────────────────────────────────────────────────────────────────────────────────────


def test_sigusr1_tells_who_has_what_open_and_where_calls_wait(
    job: Mount, service: FakeService
) -> None:
    job.expected.append(DUMP)
    job.sh("echo x > executions/j/input/coords")
    service.only().status = "running"
    until(lambda: job.out("cat executions/j/status") == "running\n")
    waiting = job.spawn("cat", "executions/j/wait")
    until(lambda: metrics(job)["open_handles",] == 1)
    ino = job.out("stat -c %i executions/j/wait").strip()
    children = Path(f"/proc/{job.pid}/task/{job.pid}/children")
    before = children.read_text()
    os.killpg(job.pid, signal.SIGUSR1)  # as systemd does it
    dump = until(lambda: "the event loop:" in job.log and job.log.partition("SIGUSR1: ")[2])
    assert dump.startswith("open handles: 1, calls under way: 1, connections: ")
    by = rf"by process {waiting.pid} \(cat\)"
    assert re.search(rf"inode {ino}: executions/j/wait, opened {by}, \d+\.\d s ago", dump)
    assert re.search(rf"read of inode {ino}, {by}, for \d+\.\d s\n +File .*waitfile\.py", dump)
    assert re.search(r"connections:\n +.*HTTP/1\.1", dump)
    assert "pifopfs.mount.control.serve_control" in dump
    service.only().end()
    assert waiting.wait(20) == 0
    assert job.out("cat executions/j/status") == "ended\n"
    assert before
    assert children.read_text() == before


BUSY = """
import pathlib, sys, time
from pifopfs.errors import AccessNotAllowed
from pifopfs.tree import files
from pifopfs.cli import main

async def blocked(self, flags):
    end = time.monotonic() + 20
    while time.monotonic() < end and not pathlib.Path(__file__ + ".over").exists():
        pass
    raise AccessNotAllowed("stop")

files.StopFile.open = blocked
sys.argv[0] = "pifopfs"
main()
"""


def test_sigusr1_tells_at_once_where_a_busy_daemon_is(
    service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = service.socket.parent
    (root / "busy.py").write_text(BUSY)
    monkeypatch.setattr("tests.mount.harness.PIFOPFS", [sys.executable, str(root / "busy.py")])
    with Mount(root, "joe/tsp", "--endpoint", service.endpoint) as mount:
        mount.expected.append(DUMP)
        mount.sh("mkdir executions/j")
        stopping = mount.spawn("sh", "-c", "echo 1 > executions/j/stop")

        def told() -> bool:
            mount.signal(signal.SIGUSR1)
            return "in blocked" in mount.log

        until(told, 15)
        assert stopping.poll() is None
        (root / "busy.py.over").touch()
        assert stopping.wait(20) != 0


def test_no_signal_at_any_moment_harms(service: FakeService) -> None:
    """From the first moment to the last, while files come and go."""
    with Mount(service.socket.parent, "joe/tsp", "--endpoint", service.endpoint) as mount:
        mount.expected.append(DUMP)
        over = threading.Event()
        pid = mount.pid

        def nag() -> None:
            while not over.wait(0.01):
                os.kill(pid, signal.SIGUSR1)

        nagging = threading.Thread(target=nag)
        nagging.start()
        try:
            mount.sh(
                "for i in 1 2 3 4 5; do mkdir executions/$i; echo x > executions/$i/input/coords;"
                "cat executions/$i/status executions/$i/log; done; rm -r executions/*"
            )
        finally:
            over.set()
            nagging.join()
        mount.umount()
    assert "bug in a dump" not in mount.log


# ── The log ───────────────────────────────────────────────────────────────────────────────────


def test_no_name_forges_a_line_of_the_log(mount: Mount, service: FakeService) -> None:
    mount.python(f"import os; os.mkdir('executions/' + {FORGED!r})")
    service.only().end()
    read = f"print(open('executions/' + {FORGED!r} + '/status').read())"
    until(lambda: "ended" in mount.python(read) and "is ended" in mount.log)
    assert all(LINE.fullmatch(line) for line in mount.log.splitlines())
    assert "ERROR" not in {line.split()[2] for line in mount.log.splitlines()}


def test_a_daemon_logs_json_where_it_is_told_to(service: FakeService) -> None:
    args = ("--endpoint", service.endpoint, "--log-format", "json", "--log-level", "debug")
    mount = Mount(service.socket.parent, "joe/tsp", *args)
    mount.expected.append(r"\{")
    with mount:
        service.fault("create", refuse(429), times=1)
        mount.sh("mkdir executions/j", check=False)
        mount.umount()
    records = [json.loads(line) for line in mount.log.splitlines()]
    warning = next(record for record in records if record["level"] == "warning")
    assert warning["logger"] == "pifopfs.tree.executions"
    assert warning["message"].startswith("mkdir j: create an execution of joe/tsp: 429")
    made = [json.loads(r["message"]) for r in records if r["logger"] == "pifopfs.api.recording"]
    assert warning["request"] == made[-1]["id"] == service.request_ids[-1]


@pytest.mark.parametrize(
    ("kind", "form"),
    [("text", r"<\d>([A-Z]+ pifopfs|    )"), ("json", r'<\d>\{"time": ".*\}$')],
    ids=["text", "json"],
)
def test_under_systemd_lines_have_a_priority_and_no_time_of_their_own(
    service: FakeService, kind: str, form: str
) -> None:
    mount = Mount(service.socket.parent, "joe/tsp", "--endpoint", service.endpoint)
    reading, journal = os.pipe()
    status = os.fstat(journal)
    env = mount.env | {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
    command = [*PIFOPFS, "mount", "-f", "joe/tsp", str(mount.path), "--endpoint", service.endpoint]
    command += ["--log-format", kind]
    with subprocess.Popen(command, env=env, stderr=journal, cwd=mount.root) as daemon:
        os.close(journal)
        try:
            until(mount.mounted)
            service.fault("create", refuse(429), times=1)
            mount.sh("mkdir executions/j", check=False)
        finally:
            daemon.terminate()
        assert daemon.wait(20) == 0
    with os.fdopen(reading) as stream:
        lines = stream.read().splitlines()
    assert all(re.match(form, line) for line in lines), lines
    assert any(line.startswith("<4>") and "mkdir j: " in line for line in lines)


# ── The server ────────────────────────────────────────────────────────────────────────────────


def asked(socket: str, *args: str) -> None:
    command = ["curl", "-sf", "--unix-socket", socket, *args, "http://x/joe/up"]
    subprocess.run(command, check=True, timeout=20, stdout=subprocess.DEVNULL)


def test_a_server_logs_the_ids_of_its_clients_and_tells_what_it_does(root: Path) -> None:
    write_function(root / "fns" / "joe" / "up", "true")
    (root / "own").mkdir(mode=0o700)
    socket, errors = str(root / "own" / "s.sock"), root / "errors"
    args = ("--socket", socket, "--log-level", "debug", "--log-format", "json")
    redirected = ("sh", "-c", f'exec "$@" 2>{errors}', "sh")
    with serving(root, *args, under=redirected) as (process, _):
        asked(socket, "-H", "X-Request-ID: abc-123")
        asked(socket, "-H", "X-Request-ID: no id")
        process.send_signal(signal.SIGUSR1)
        until(lambda: "SIGUSR1" in errors.read_text())
        asked(socket)
    records = [json.loads(line) for line in errors.read_text().splitlines()]
    ids = [r["request"] for r in records if r["message"].startswith("GET /joe/up: 200 in ")]
    assert ids[0] == "abc-123"
    assert len(set(ids)) == 3
    assert all(re.fullmatch("[0-9a-f]{16}", id_) for id_ in ids[1:])
    (dump,) = (record for record in records if record["message"].startswith("SIGUSR1: tasks: "))
    assert "pifopfs/server/" in dump["details"]
