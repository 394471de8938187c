"""Where entries of docs/TROUBLESHOOTING.md are replayed: each by the name that the entry gives.

The home there is `/home/joe`, the function `joe/tsp` of a service, its mountpoint `~/tsp`, and the
execution `job1`.
"""

from __future__ import annotations

import os
import ssl
import threading
from collections.abc import Callable

import trustme

from tests.doctor.rig import AS_USER, USER, WITHOUT_BWRAP, opened
from tests.fakeservice import FakeExecution, HttpsService, dribble, refuse, until
from tests.functions import write_function
from tests.mount.home import Stage, within

NO_DEVICE = "mount -t tmpfs t /dev && mknod -m 666 /dev/null c 1 3 && mknod /dev/urandom c 1 9"
LARGE = b"4" * 1_000_000

Scene = Callable[[Stage], None]


def nothing(stage: Stage) -> None:
    """A home with a service."""


def job(stage: Stage) -> None:
    """A mount with a pending execution."""
    stage.service.heal()
    if not stage.mount.mounted():
        stage.mount.mount()
    script = "cd executions; rm -rf * 2>/dev/null; mkdir job1; echo 1 > job1/input/coords"
    stage.mount.sh(script)


def running(stage: Stage) -> None:
    job(stage)
    stage.mount.sh("echo 1 > executions/job1/start")


def ended(stage: Stage) -> None:
    running(stage)
    _execution(stage).end(result=b"42\n")
    stage.mount.sh("cat executions/job1/wait")


def _execution(stage: Stage) -> FakeExecution:
    return stage.service.only()


def fault(endpoint: str, code: int, message: str, before: Callable[[Stage], None]) -> Scene:
    def scene(stage: Stage) -> None:
        before(stage)
        stage.service.fault(endpoint, refuse(code, message))

    return scene


def dead(stage: Stage) -> None:
    stage.mount.mount()
    stage.mount.kill()


def down(stage: Stage) -> None:
    job(stage)
    stage.service.down()


def folder(stage: Stage) -> None:
    """A function in ~/fn, and no service."""
    write_function(stage.root / "fn", "true")
    del stage.mount.env["PIFOPFS_ENDPOINT"]


def mounted_folder(stage: Stage, **fields: object) -> None:
    folder(stage)
    write_function(stage.root / "fn", "true", **fields)
    stage.mount.target = str(stage.root / "fn")
    stage.mount.mount()


def without_device(stage: Stage) -> None:
    stage.prefix = within(NO_DEVICE)


def without_helper(stage: Stage) -> None:
    stage.mount.mount()
    tools = stage.root / "tools"
    tools.mkdir()
    (tools / "bash").symlink_to("/bin/bash")
    stage.prefix = ["env", f"PATH={stage.root}/bin:{tools}"]


def without_bubblewrap(stage: Stage) -> None:
    folder(stage)
    stage.prefix = within(WITHOUT_BWRAP)


def without_rights(stage: Stage) -> None:
    folder(stage)
    stage.prefix = ["setpriv", "--bounding-set=-sys_admin"]


def ordinary_user(stage: Stage) -> None:
    """Who owns the home, on a machine that says nothing of allow_other."""
    for path in [stage.root, *stage.root.rglob("*")]:
        os.chown(path, USER, USER, follow_symlinks=False)
    setup = f"{NO_DEVICE}; mknod -m 666 /dev/fuse c 10 229; mount --bind /dev/null /etc/fuse.conf"
    stage.prefix = [*within(*opened(stage.root), setup), *AS_USER]


def another_user(stage: Stage) -> None:
    job(stage)
    stage.root.chmod(0o711)
    stage.prefix = AS_USER


def long_runtime_folder(stage: Stage) -> None:
    long = stage.root / ("x" * 100)
    long.mkdir(mode=0o700)
    stage.mount.env["XDG_RUNTIME_DIR"] = str(long)


def own_certificate(stage: Stage) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    service = stage.cleanup.enter_context(HttpsService(stage.root / "unused", context))
    stage.mount.env["PIFOPFS_ENDPOINT"] = service.endpoint


def running_with_log(stage: Stage) -> None:
    running(stage)
    _execution(stage).log = b"tour of length 7542\n"


def dropped(stage: Stage) -> None:
    job(stage)
    stage.service.executions.clear()
    until(lambda: stage.mount.out("cat executions/job1/status") == "gone\n")


def unknown_size(stage: Stage) -> None:
    stage.service.supports_head = stage.service.tells_length = False
    ended(stage)


def output_on_its_way(stage: Stage) -> None:
    running(stage)
    _execution(stage).end(result=LARGE)
    stage.mount.sh("cat executions/job1/wait")
    release = threading.Event()
    stage.cleanup.callback(release.set)
    stage.service.fault("output", dribble(LARGE, release, 1000))


def mounted_twice(stage: Stage) -> None:
    job(stage)
    (stage.root / "other").mkdir()
    stage.cleanup.callback(stage.mount.pifopfs, "umount", "--force", str(stage.root / "other"))
    state = ("--state-dir", str(stage.root / "other-state"))
    assert (
        stage.mount.pifopfs("mount", "joe/tsp", str(stage.root / "other"), *state).returncode == 0
    )


def without_libfuse(stage: Stage) -> None:
    found = "ldconfig -p | grep -o '/[^ ]*libfuse3.so.*'"
    stage.prefix = within(f"for file in $({found}); do mount --bind /dev/null $file; done")


def without_names(stage: Stage) -> None:
    """A machine whose resolver knows its own file alone."""
    (stage.root / "nsswitch").write_text("hosts: files\n")
    stage.prefix = within("mount --bind nsswitch /etc/nsswitch.conf")


def without_mount_helper(stage: Stage) -> None:
    stage.prefix = within("mount -t tmpfs t /usr/sbin")


def failing(stage: Stage) -> None:
    folder(stage)
    write_function(stage.root / "fn", "echo no cities; exit 3")


def read_only(stage: Stage) -> None:
    job(stage)
    stage.mount.umount()
    stage.mount.args = ("-o", "ro")
    stage.mount.mount()


def missing_program(stage: Stage) -> None:
    mounted_folder(stage, command=["nosuchprogram"])


def looking_around(stage: Stage) -> None:
    mounted_folder(stage, command=["ls", "/home"])


STAGES: dict[str, Scene] = {
    "a service": nothing,
    "a pending execution": job,
    "a running execution": running,
    "a dead mount": dead,
    "a mount, and no answer": down,
    "a function's folder": folder,
    "a mounted folder": mounted_folder,
    "no /dev/fuse": without_device,
    "a mount, and no fusermount3": without_helper,
    "a mount, and a key that was taken back": fault("create", 401, "the key is unknown", job),
    "a refused key": fault("function", 401, "the key is unknown", nothing),
    "no such function": fault("function", 404, "no such function", nothing),
    "too many executions": fault("start", 429, "4 executions of this key run", job),
    "no more executions": fault("create", 429, "100 executions of this key exist", job),
    "a busy service": fault("create", 503, "try later", job),
    "a refused upload": fault("upload", 413, "at most 1 MB", job),
    "a server with its own certificate": own_certificate,
    "a running execution with a log": running_with_log,
    "an execution that was dropped": dropped,
    "an output of unknown size": unknown_size,
    "an output on its way": output_on_its_way,
    "a long XDG_RUNTIME_DIR": long_runtime_folder,
    "an ordinary user": ordinary_user,
    "another user": another_user,
    "a function that is mounted twice": mounted_twice,
    "no mount helper": without_mount_helper,
    "no such host": without_names,
    "a function that fails": failing,
    "a mount with -o ro": read_only,
    "no libfuse3": without_libfuse,
    "a program that is missing": missing_program,
    "a program that looks around": looking_around,
    "no bubblewrap": without_bubblewrap,
    "no right to make namespaces": without_rights,
}
SHARED = {
    "a pending execution", "a running execution", "too many executions",
    "a mount, and a key that was taken back", "no more executions", "a busy service",
    "a refused upload", "a running execution with a log", "an execution that was dropped",
}  # fmt: skip
"""Those that leave the mount as good as it was."""
