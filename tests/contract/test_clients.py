"""What the official clients send, byte for byte, and the documents' curl lines, over HTTPS.

The clients' sequences: the function, a new execution, the inputs one by one, the start, polls, the
outputs one by one, the end. Both read JSON from every answer but an output.
"""

from __future__ import annotations

import http.client
import json
import shlex
import socket
import sqlite3
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.functions import write_function
from tests.mount.test_serve import serving

API_KEY, MASTER_KEY = "apikey_ABC123", "master_ABC123"


@dataclass
class Place:
    """A server of joe/tsp, as func.pifop.com and localhost, with the documents' keys."""

    port: int
    ca_file: Path
    root: Path

    def connect(self) -> ssl.SSLSocket:
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        context = ssl.create_default_context(cafile=str(self.ca_file))
        return context.wrap_socket(plain, server_hostname="localhost")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    root = tmp_path_factory.mktemp("clients")
    write_function(
        root / "fns" / "joe" / "tsp",
        "echo one; cat coords.csv params.json; sleep 1.5; echo two; echo '[1,2]' > r.json",
        input=[{"id": "coords", "path": "coords.csv"}, {"id": "params", "path": "params.json"}],
        output=[{"id": "result", "path": "r.json"}, {"id": "text", "path": "coords.csv"}],
    )
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(root / "ca.pem"))
    issued = authority.issue_cert("func.pifop.com", "localhost", "127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(str(root / "cert.pem"))
    key_file = root / "kept" / "master-keys" / "joe" / "tsp"
    key_file.parent.mkdir(parents=True)
    key_file.write_text(MASTER_KEY)
    args = ("--port", "0", "--state-dir", str(root / "kept"))
    certificate = ("--tls-cert", str(root / "cert.pem"), "--tls-key", str(root / "cert.pem"))
    with serving(root, *args, *certificate) as (_, ready):
        with closing(sqlite3.connect(root / "kept" / "store.sqlite")) as store, store:
            store.execute(
                "INSERT INTO keys (id, author, function, name, digest) VALUES (?, ?, ?, ?, ?)",
                ("id", "joe", "tsp", "abc", sha256(API_KEY.encode()).hexdigest()),
            )
        yield Place(int(ready.strip().rpartition(":")[2]), root / "ca.pem", root)


# ── Clients ───────────────────────────────────────────────────────────────────────────────────

NODE = (
    "{method} {path} HTTP/1.1\r\nhost: localhost:{port}\r\nconnection: keep-alive\r\n"
    "Authorization: Bearer {key}\r\n{more}accept: */*\r\naccept-language: *\r\n"
    "sec-fetch-mode: cors\r\nuser-agent: node\r\naccept-encoding: gzip, deflate\r\n{length}\r\n"
)
REQUESTS = (
    "{method} {path} HTTP/1.1\r\nHost: localhost:{port}\r\nUser-Agent: python-requests/2.31.0\r\n"
    "Accept-Encoding: gzip, deflate\r\nAccept: */*\r\nConnection: keep-alive\r\n"
    "Authorization: Bearer {key}\r\n{more}{length}\r\n"
)


class Client:
    """One connection, kept alive, on which exactly these bytes are sent."""

    def __init__(self, place: Place, template: str) -> None:
        self._port = place.port
        self._template = template
        self._socket = place.connect()

    def __call__(
        self, method: str, path: str, body: bytes = b"", more: str = "", key: str = API_KEY
    ) -> bytes:
        """The body of the answer, which is a success."""
        chunked = "chunked" in more
        length = "" if method == "GET" or chunked else f"Content-Length: {len(body)}\r\n"
        head = self._template.format(
            method=method, path=path, port=self._port, key=key, more=more, length=length
        )
        self._socket.sendall(head.encode() + body)
        answer = http.client.HTTPResponse(self._socket, method=method)
        answer.begin()
        content = answer.read()
        assert answer.status == 200, content
        assert not answer.will_close
        return content

    def close(self) -> None:
        self._socket.close()

    def json(self, *args: Any, **more: Any) -> dict[str, Any]:
        document = json.loads(self(*args, **more))
        assert isinstance(document, dict)
        return document


Connect = Callable[[str], Client]


@pytest.fixture
def connect(place: Place) -> Iterator[Connect]:
    """Makes clients."""
    with ExitStack() as cleanup:

        def connect(template: str) -> Client:
            client = Client(place, template)
            cleanup.callback(client.close)
            return client

        yield connect


FN = "/joe/tsp"
TEXT = "Content-Type: text/plain;charset=UTF-8\r\n"
CHUNKED = "Transfer-Encoding: chunked\r\n"
FORM = "Content-Type: application/x-www-form-urlencoded\r\n"


def polled(poll: Callable[[], dict[str, Any]]) -> list[dict[str, Any]]:
    """Every answer until one says that the execution has ended; none in between may say else."""
    seen, end = [], time.monotonic() + 30
    while not seen or seen[-1]["status"] == "running":
        assert time.monotonic() < end
        seen.append(poll())
        time.sleep(0.2)
    assert seen[-1]["status"] == "ended"
    return seen


@pytest.mark.parametrize("include_log", ["", "?include_log=false"])
def test_the_sequence_of_the_javascript_client(connect: Connect, include_log: str) -> None:
    call = connect(NODE)
    function = call.json("GET", FN)
    assert [spec["id"] for spec in function["input"]] == ["coords", "params"]
    created = call.json("POST", f"{FN}/executions")
    assert created["status"] == "pending"
    execution = f"{FN}/executions/{created['id']}"
    assert call.json("POST", f"{execution}/input/coords", b"x,y\n", TEXT)["id"] == "coords"
    streamed = b"3\r\n{ }\r\n0\r\n\r\n"
    assert call.json("POST", f"{execution}/input/params", streamed, CHUNKED)["size"] == 3
    assert call.json("POST", f"{execution}/start")["status"] == "running"
    resumed = call.json("GET", f"{execution}?include_log=false")
    assert resumed["status"] == "running"
    assert "log" not in resumed
    last = polled(lambda: call.json("GET", f"{execution}{include_log}"))[-1]
    assert last["end_reason"] == "normal"
    assert ("log" in last) == (not include_log)
    assert last["output"] == [
        {"id": "result", "path": "r.json", "size": 6},
        {"id": "text", "path": "coords.csv", "size": 4},
    ]
    assert json.loads(call("GET", f"{execution}/output/result")) == [1, 2]
    assert call("GET", f"{execution}/output/text") == b"x,y\n"
    assert call.json("DELETE", execution)["id"] == created["id"]


def test_the_javascript_client_stops(connect: Connect) -> None:
    call = connect(NODE)
    created = call.json("POST", f"{FN}/executions")
    execution = f"{FN}/executions/{created['id']}"
    call.json("POST", f"{execution}/start")
    assert call.json("POST", f"{execution}/stop")["status"] == "ended"
    call.json("DELETE", execution)


@pytest.mark.parametrize("template", [NODE, REQUESTS])
def test_the_sequence_of_the_clients_that_ask_for_stdout(connect: Connect, template: str) -> None:
    """Both older ones add each answer's `stdout` to what they have."""
    call = connect(template)
    call.json("GET", FN)
    created = call.json("POST", f"{FN}/executions")
    execution = f"{FN}/executions/{created['id']}"
    call.json("POST", f"{execution}/input/coords", b"a=1&b=2", FORM)
    call.json("POST", f"{execution}/input/params", b"2\r\n{}\r\n0\r\n\r\n", CHUNKED)
    assert call.json("POST", f"{execution}/start")["status"] == "running"
    seen = polled(lambda: call.json("GET", f"{execution}?stdout=true"))
    assert "".join(answer["stdout"] for answer in seen) == "one\na=1&b=2{}two\n"
    assert seen[-1]["log"] == "one\na=1&b=2{}two\n"
    assert call("GET", f"{execution}/output/text") == b"a=1&b=2"
    assert call.json("DELETE", execution)["status"] == "ended"


def test_keys_as_the_javascript_client_manages_them(connect: Connect) -> None:
    call = connect(NODE)
    query = "name=js&max_memory=100&max_time=&max_parallel_jobs=2"
    made = call.json("POST", f"{FN}/api_keys?{query}", key=MASTER_KEY)
    assert call.json("GET", FN, key=made["key"])["id"] == "tsp"
    assert call.json("DELETE", f"{FN}/api_keys/js", key=MASTER_KEY)["name"] == "js"


# ── The documents' curl lines ─────────────────────────────────────────────────────────────────

BEARER = '-H "Authorization: Bearer apikey_ABC123"'
BEARER_MASTER = '-H "Authorization: Bearer master_ABC123"'
AT = "https://func.pifop.com/joe/tsp"
ONE = f"{AT}/executions/exec_ABC1234"
POINTS = "150, 254, 145, 222, 478, 644, 98, 51"


def test_the_curl_lines_of_the_documents(place: Place) -> None:
    (place.root / ".curlrc").write_text(
        f'connect-to = "func.pifop.com:443:127.0.0.1:{place.port}"\n'
        f'cacert = "{place.ca_file}"\nsilent\nshow-error\nfail-with-body\nmax-time = 20\n'
    )
    id_ = "exec_ABC1234"

    def run(line: str) -> str:
        """Only the execution's id is not the documents' one."""
        words = shlex.split(line.replace("exec_ABC1234", id_))
        result = subprocess.run(
            words, capture_output=True, text=True, timeout=30, check=False,
            env={"CURL_HOME": str(place.root), "PATH": "/usr/bin:/bin", "no_proxy": "*"},
        )  # fmt: skip
        assert result.returncode == 0, f"{line}\n{result.stdout}{result.stderr}"
        return result.stdout

    created = json.loads(run(f"curl -X POST {AT}/executions {BEARER}"))
    id_ = created["id"]
    uploaded = json.loads(run(f'curl -X POST {ONE}/input/coords {BEARER} -d "{POINTS}"'))
    assert uploaded == {"id": "coords", "path": "coords.csv", "size": len(POINTS)}
    assert json.loads(run(f"curl -X POST {ONE}/start {BEARER}"))["status"] == "running"
    last = polled(lambda: json.loads(run(f"curl {ONE} {BEARER}")))[-1]
    assert POINTS in last["log"]
    assert json.loads(run(f"curl {ONE}/output/result {BEARER}")) == [1, 2]
    assert json.loads(run(f"curl -X POST {ONE}/stop {BEARER}"))["status"] == "ended"
    assert json.loads(run(f"curl -X DELETE {ONE} {BEARER}"))["id"] == id_
    assert json.loads(run(f"curl {AT} {BEARER_MASTER}"))["id"] == "tsp"
    made = json.loads(
        run(f"curl -X POST {AT}/api_keys?key_name=david&max_executions=2 {BEARER_MASTER}")
    )
    assert (made["name"], made["max_executions"]) == ("david", 2)
    deleted = json.loads(run(f"curl -X DELETE {AT}/api_keys/david {BEARER_MASTER}"))
    assert deleted["name"] == "david"
