"""Connects to what listens outside, and opens sockets of other families."""

from __future__ import annotations

import socket

from attempts import attempt, facts, targets


def connect(family: int, address: object) -> None:
    with socket.socket(family, socket.SOCK_STREAM) as end:
        end.settimeout(5)
        end.connect(address)


def open_socket(family: int, kind: int) -> None:
    socket.socket(family, kind).close()


wanted = targets()
if "port" in wanted:
    for host in ("127.0.0.1", *wanted.get("hosts", [])):
        attempt(f"tcp {host}", lambda host=host: connect(socket.AF_INET, (host, wanted["port"])))
if "abstract" in wanted:
    attempt("abstract", lambda: connect(socket.AF_UNIX, "\0" + wanted["abstract"]))
for path in wanted.get("paths", []):
    attempt(f"unix {path}", lambda path=path: connect(socket.AF_UNIX, path))
for name, family in {"vsock": 40, "packet": 17, "alg": 38, "bluetooth": 31}.items():
    attempt(name, lambda family=family: open_socket(family, socket.SOCK_RAW))
attempt("vsock stream", lambda: open_socket(40, socket.SOCK_STREAM))
attempt("raw", lambda: open_socket(socket.AF_INET, socket.SOCK_RAW))
facts(interfaces=[name for _, name in socket.if_nameindex()])
