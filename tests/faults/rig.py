"""What the tests of faults need, set up once: mount, TLS, proxy, server; and how they break.

The mount reaches the server as https://service.test through the proxy. Its state and cache folders
are small disks of their own.
"""

from __future__ import annotations

import mmap
import os
import shutil
import socket
import ssl
import struct
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme

from pifopfs.api.proxies import VARIABLES
from pifopfs.server.keys import master_key
from tests.fakeservice import until
from tests.faults.faults import Fault, OfCalls, OfConnections
from tests.faults.proxy import GOOD, LASTING, Proxy
from tests.faults.upstream import Answer, ask
from tests.functions import write_function
from tests.mount.harness import Mount
from tests.mount.test_serve import serving

HOST = "service.test"
DEADLINE = 2.5
"""Seconds that a call to the service may take."""
DEADLINES = {
    "PIFOPFS_STALL": "0.5",
    "PIFOPFS_TOTAL": str(DEADLINE),
    "PIFOPFS_CREATE": str(DEADLINE),
    "PIFOPFS_CONNECT": "0.5",
    "PIFOPFS_RECHECK": "1",
    "PIFOPFS_FRESHNESS": "0.05",
    "PIFOPFS_PATIENCE": "0.5",
    "PIFOPFS_BACKOFF": "0.02",
    "PIFOPFS_FUNCTION_AGE": "0.05",
    "PIFOPFS_GONE_RECHECK": "0.5",
    "PIFOPFS_SIZE_RECHECK": "0.5",
}
OTHER = "other"
"""An execution that no test touches."""
DISK = 24 << 20
"""Bytes of the small disks."""

SCRIPT = """
echo running
if head -c 5 a.txt | grep -q sleep; then exec sleep 600; fi
cat a.txt > r.txt
echo done
"""
"""The function: gives back its input, or sleeps where that says so."""


class Shim:
    """The counters of the library that breaks look-ups and connections."""

    def __init__(self, folder: Path) -> None:
        self.library, control = folder / "shim.so", folder / "control"
        source = Path(__file__).with_name("shim.c")
        subprocess.run(
            ["gcc", "-shared", "-fPIC", "-O1", "-o", self.library, source, "-ldl"], check=True
        )
        control.write_bytes(bytes(8))
        with control.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 8)
        self.env = {"LD_PRELOAD": str(self.library), "FAULTS_CONTROL": str(control)}

    def set(self, lookups: int, connections: int) -> None:
        """How many of each are still to fail."""
        self._map[:] = struct.pack("ii", lookups, connections)


class Elsewhere:
    """Where redirects lead: nobody should ever come."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.visitors = 0
        threading.Thread(target=self._count, daemon=True).start()

    def _count(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.visitors += 1
            connection.close()

    def close(self) -> None:
        self._listener.close()


class Rig:
    """The mount and what is behind it."""

    def __init__(self, root: Path, proxy: Proxy, shim: Shim, elsewhere: Elsewhere) -> None:
        self.root = root
        self.proxy = proxy
        self.shim = shim
        self.elsewhere = elsewhere
        self.state, self.cache = root / "small-state", root / "small-cache"
        self.key = ""
        self.mount: Mount = None  # type: ignore[assignment]  # set as soon as the proxy is up
        self._names = 0

    def name(self) -> str:
        """A new name for an execution."""
        self._names += 1
        return f"j{self._names}"

    @property
    def daemon_log(self) -> str:
        (path,) = self.state.glob("mounts/*/daemon.log")
        return path.read_text(errors="replace")

    def at_the_server(self, execution: str, method: str = "GET", rest: str = "") -> Answer:
        """What the server says of an execution, not asked through the proxy."""
        headers = {"Authorization": f"Bearer {self.key}"}
        path = f"/joe/fn/executions/{execution}{rest}"
        return ask(self.proxy.upstream, method, path, headers, b"")

    def uploaded(self, execution: str) -> bytes | None:
        """The bytes that the server has of input `a` of an execution that is pending."""
        path = self.root / "kept" / "executions" / execution / "inputs" / "a"
        return path.read_bytes() if path.exists() else None

    # ── Faults ───────────────────────────────────────────────────────────────────────────────

    def begin(self, fault: Fault, call: str, times: int = LASTING) -> None:
        """Break something: a call, connections, or the disk."""
        if isinstance(fault, OfCalls):
            self.proxy.fault(call, fault.act, times)
        elif isinstance(fault, OfConnections):
            self._break_connections(fault.kind, times)
        else:
            self._break_disk(fault.kind)

    def _break_connections(self, kind: str, times: int) -> None:
        if kind == "refused" and times == LASTING:
            self.proxy.refuse()
        elif kind == "refused":
            self.shim.set(0, times)
            self.proxy.cut()
        elif kind == "dns":
            self.shim.set(times, 0)
            self.proxy.cut()
        else:
            self.proxy.show(kind, times)

    def _break_disk(self, kind: str) -> None:
        if kind == "cache_gone":
            for path in self.cache.iterdir():
                shutil.rmtree(path)
        elif kind == "cache_read_only":
            self.mount.sh(f"cat executions/{OTHER}/log")  # its folder is there
            until(lambda: remount(self.cache, "ro"))  # not while a file is being closed
        else:
            folder = self.state if kind == "state_full" else self.cache
            fill(folder / "filler")

    def heal(self) -> None:
        """All is well again."""
        self.shim.set(0, 0)
        self.proxy.heal()
        if os.getuid() == 0:
            assert remount(self.cache, "rw")
        for folder in (self.state, self.cache):
            (folder / "filler").unlink(missing_ok=True)


def fill(path: Path) -> None:
    """Leave not a byte on the disk of this file."""
    with path.open("wb", buffering=0) as file:
        size = 1 << 20
        while size:
            try:
                file.write(bytes(size))
            except OSError:
                size //= 2


def remount(folder: Path, mode: str) -> bool:
    """Make a small disk read-only or writable, as it is seen here; whether that could be done."""
    command = ["mount", "-o", f"remount,bind,{mode}", str(folder)]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


# ── Setting up ────────────────────────────────────────────────────────────────────────────────


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A disk of its own; a plain folder where nobody may mount."""
    folder.mkdir(mode=0o700)
    if os.getuid() != 0:
        yield
        return
    options = f"size={DISK},mode=700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def certificates(root: Path) -> Mapping[str, ssl.SSLContext]:
    """One that is right, one that is out of date, one of somebody else's; the CA is in a file."""
    ca, other = trustme.CA(), trustme.CA()
    ca.cert_pem.write_to_path(root / "ca.pem")
    past = datetime.now(UTC) - timedelta(days=1)
    issued = {
        GOOD: ca.issue_cert(HOST),
        "expired": ca.issue_cert(HOST, not_before=past - timedelta(days=9), not_after=past),
        "untrusted": other.issue_cert(HOST),
    }
    contexts = {name: ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) for name in issued}
    for name, context in contexts.items():
        issued[name].configure_cert(context)
    return contexts


@contextmanager
def rigged(root: Path) -> Iterator[Rig]:
    """The rig, up."""
    write_function(root / "fns" / "joe" / "fn", SCRIPT)
    (root / "own").mkdir(mode=0o700)
    upstream, kept = root / "own" / "s.sock", root / "kept"
    served = ["--socket", str(upstream), "--state-dir", str(kept), "--isolation", "none"]
    with ExitStack() as stack:
        stack.enter_context(serving(root, *served, "--log-level", "error"))
        shim, elsewhere = Shim(root), Elsewhere()
        stack.callback(elsewhere.close)
        proxy = stack.enter_context(Proxy(upstream, certificates(root), elsewhere.port))
        rig = Rig(root, proxy, shim, elsewhere)
        for folder in (rig.state, rig.cache):
            stack.enter_context(small_disk(folder))
        rig.key = until(lambda: master_key(kept, "joe", "fn"))
        rig.mount = stack.enter_context(_mounted(rig))
        stack.callback(rig.heal)
        rig.mount.sh(f"mkdir executions/{OTHER}; echo 1 > executions/{OTHER}/input/a")
        yield rig


def _mounted(rig: Rig) -> Mount:
    env = DEADLINES | rig.shim.env | {"PIFOPFS_API_KEY": rig.key}
    mount = Mount(
        rig.root, "joe/fn", "--endpoint", f"https://{HOST}:{rig.proxy.port}",
        "--ca-file", str(rig.root / "ca.pem"), "--state-dir", str(rig.state),
        "--cache-dir", str(rig.cache), env=env,
    )  # fmt: skip
    for name in VARIABLES:
        mount.env.pop(name, None)
    return mount
