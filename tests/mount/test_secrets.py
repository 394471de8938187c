"""The API key is nowhere that others look, and nothing of a mount is other users' to see."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fakeservice import FakeService, Handler, refuse, until
from tests.mount.harness import Mount, write_key

SECRET = "apikey_" + "S3cr3t" * 8
STRANGER = 65533

KEEPER = f"""
import ctypes, os
from pifopfs.machine import PR_SET_DUMPABLE, keep_memory_private
os.setresuid({STRANGER}, {STRANGER}, {STRANGER})
ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)  # as a program that a user starts
print("look", flush=True)
input()
keep_memory_private()
print("look", flush=True)
input()
"""

as_root = pytest.mark.skipif(os.getuid() != 0, reason="becoming another user needs root")


@pytest.fixture(params=["file", "variable"])
def keyed(request: pytest.FixtureRequest, service: FakeService) -> Iterator[Mount]:
    """A mount that logs all it can, given its key in one of the ways."""
    root = service.socket.parent
    mount = Mount(root, "joe/tsp", "--endpoint", service.endpoint, "--log-level", "debug")
    give_key(mount, request.param)
    with mount:
        (root / "key").unlink(missing_ok=True)
        yield mount


def give_key(mount: Mount, way: str) -> None:
    """Let it come from a file, a variable, the configuration, or one of the stores of `login`."""
    root = mount.root
    if way == "file":
        mount.args += ("--api-key-file", str(write_key(root / "key", SECRET)))
    elif way == "variable":
        mount.env["PIFOPFS_API_KEY"] = SECRET
    elif way == "configuration":
        (root / "config" / "pifopfs").mkdir()
        (root / "config" / "pifopfs" / "config.toml").write_text('api_key_file = "../../key"')
        write_key(root / "key", SECRET)
    else:
        backend = {"login": "keyring.backends.fail", "keyring": "tests.keyrings"}[way]
        mount.env |= {
            "PYTHON_KEYRING_BACKEND": f"{backend}.Keyring",
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "TEST_KEYRING": str(root / "desktop"),
        }
        result = mount.pifopfs("login", *mount.args[:2], "joe/tsp", stdin=SECRET)
        assert result.returncode == 0, result.stderr


def echoed(code: int) -> Callable[[Handler], None]:
    """An answer that holds the key, as services do that tell what they were asked."""
    return refuse(code, f"who is {SECRET}?")


def everything(mount: Mount, service: FakeService) -> str:
    """Make every call, succeeding and failing; what the tools say."""
    said = mount.sh(
        "cat function.json; mkdir executions/j executions/k;"
        "cp /etc/hostname executions/j/input/coords"
    ).stdout
    for endpoint in ("create", "upload", "start", "status", "log", "output", "stop", "terminate"):
        service.fault(endpoint, echoed(403), times=1)
    script = """
        mkdir executions/x; cp /etc/hostname executions/k/input/coords; echo 1 > $J/start
        cat $J/error executions/k/error $J/status $J/log
        echo 1 > $J/start; echo 1 > $J/stop; cat $J/error; rmdir executions/k
        ls -laR; cat $J/error
    """
    result = mount.sh(f"J=executions/j {script}", check=False)
    service.heal()
    service.executions[mount.out("cat executions/j/id").strip()].end(result=b"42")
    until(lambda: mount.out("cat executions/j/status") == "ended\n")
    result2 = mount.sh("cat executions/j/output/result; cat executions/j/error", check=False)
    return said + result.stdout + result.stderr + result2.stdout + result2.stderr


def contents(folder: Path) -> Iterator[str]:
    """Names and bytes of all files below a folder."""
    for path in folder.rglob("*"):
        yield str(path)
        if path.is_file():
            yield path.read_bytes().decode("latin-1")


# > **Secrets stay secret.** The API key is never in argv, the mount table, a log, a file of the
# > mount or an error text;
@pytest.mark.parametrize(
    "keyed", ["file", "variable", "configuration", "login", "keyring"], indirect=True
)
def test_the_key_is_in_no_place_that_others_see(keyed: Mount, service: FakeService) -> None:
    said = everything(keyed, service)
    said += keyed.out("cat .pifopfs/*")
    for args in (["config", "show", "joe/tsp", *keyed.args], ["config", "show", "--json"]):
        result = keyed.pifopfs(*args)
        assert result.returncode == 0
        said += result.stdout + result.stderr
    assert "S3cr3t" not in said
    assert "Permission denied" in said
    files = keyed.out(
        "find . -type f ! -name start ! -name stop -print0 | xargs -0 tail -n +1;"
        "mount; cat /proc/mounts"
    )
    assert "S3cr3t" not in files
    assert "coords" in files
    assert "S3cr3t" not in Path(f"/proc/{keyed.pid}/cmdline").read_text()
    if "PIFOPFS_API_KEY" not in keyed.env:
        assert "S3cr3t" not in Path(f"/proc/{keyed.pid}/environ").read_text()
    for folder in ("state", "cache", "run"):
        found = "".join(contents(keyed.root / folder))
        assert "S3cr3t" not in found
    assert "403" in keyed.log


def test_no_core_dump_and_no_debugger_has_the_key(keyed: Mount) -> None:
    limits = Path(f"/proc/{keyed.pid}/limits").read_text()
    (line,) = [line for line in limits.splitlines() if line.startswith("Max core file size")]
    assert line.split()[4] == "0"


@as_root
def test_the_memory_and_the_environment_of_a_users_daemon_are_roots() -> None:
    """So that no other program of the user reads a key that came in a variable."""
    with subprocess.Popen(
        [sys.executable, "-c", KEEPER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for owner in (STRANGER, 0):  # before, and after
            assert process.stdout.readline() == "look\n"
            for name in ("environ", "mem", "maps"):
                assert Path(f"/proc/{process.pid}/{name}").stat().st_uid == owner
            process.stdin.write("\n")
            process.stdin.flush()
        assert process.wait(20) == 0


def test_a_redirect_does_not_carry_the_key_away(keyed: Mount, service: FakeService) -> None:
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        elsewhere.settimeout(0.5)

        def redirect(handler: Handler) -> None:
            handler._body()
            handler.send_response(307)
            handler.send_header("Location", f"http://127.0.0.1:{elsewhere.getsockname()[1]}/x")
            handler.send_header("Content-Length", "0")
            handler.end_headers()

        keyed.sh("mkdir executions/j")
        service.fault("upload", redirect)
        result = keyed.sh("cp /etc/hostname executions/j/input/coords", check=False)
        assert "Input/output error" in result.stderr
        assert "redirects to 127.0.0.1" in keyed.out("cat executions/j/error")
        with pytest.raises(TimeoutError):
            elsewhere.accept()


def as_stranger(*command: str) -> str:
    """Run a command as another user; it must fail, and what it says is returned."""
    result = subprocess.run(
        command,
        user=STRANGER,
        group=STRANGER,
        extra_groups=[],
        cwd="/",
        env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert result.returncode != 0
    return result.stderr


@as_root
def test_other_users_read_neither_mount_nor_folders_nor_sockets(
    root: Path, make_function: Callable[..., Path]
) -> None:
    root.chmod(0o711)
    with Mount(root, str(make_function())) as mount:
        mount.sh("mkdir executions/j; echo secret > executions/j/input/a")
        for folder in ("mnt", "mnt/executions", "state/pifopfs", "cache/pifopfs", "run/pifopfs"):
            assert "Permission denied" in as_stranger("ls", str(root / folder))
        sockets = [path for part in ("run", "state") for path in (root / part).rglob("*")
                   if path.is_socket()]  # fmt: skip
        assert sockets
        for path in sockets:
            said = as_stranger("curl", "-sS", "--unix-socket", str(path), "http://x/")
            assert "Couldn't connect" in said or "Failed to connect" in said or "denied" in said
