"""A service that takes its time for every answer, so that a crash finds it in the middle of one."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.fakeservice import FakeExecution, FakeService, Handler
from tests.mount.workload import output_content


@dataclass
class SlowService:
    """Makes every answer of a service take its time, and counts what is under way."""

    service: FakeService
    under_way: int = 0
    starts: dict[str, int] = field(default_factory=dict)
    """Requests to start, by execution."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.service.on_start = self._run
        for endpoint in ("create", "upload", "start", "output", "terminate"):
            self.service.fault(endpoint, getattr(self, f"_{endpoint}"))

    @contextmanager
    def _busy(self) -> Iterator[None]:
        with self._lock:
            self.under_way += 1
        try:
            time.sleep(random.uniform(0, 0.05))
            yield
        finally:
            with self._lock:
                self.under_way -= 1

    def _create(self, handler: Handler) -> None:
        with self._busy():
            document = FakeExecution(f"exec_{random.getrandbits(64):016x}")
            self.service.executions[document.id] = document
            time.sleep(random.uniform(0, 0.02))
            handler.json(document.document())

    def _upload(self, handler: Handler) -> None:
        with self._busy():
            body = handler._body()
            if len(body) < int(handler.headers["Content-Length"]):
                handler.close_connection = True  # the client died in the middle
                return
            *_, execution, _, name = handler.path.split("/")
            self.service.executions[execution].inputs[name] = body
            time.sleep(random.uniform(0, 0.02))
            handler.json({"id": name, "size": len(body)})

    def _start(self, handler: Handler) -> None:
        execution = handler.path.split("/")[-2]
        with self._busy():
            self.starts[execution] = self.starts.get(execution, 0) + 1
            handler._start(execution)

    def _run(self, execution: FakeExecution) -> None:
        time.sleep(random.uniform(0, 0.03))  # it runs already, and the client does not know yet
        execution.end(r=output_content(execution.inputs))

    def _output(self, handler: Handler) -> None:
        *_, execution, _, name = handler.path.split("/")
        body = self.service.executions[execution].outputs[name]
        with self._busy():
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            for start in range(0, len(body), 2**18):
                handler.wfile.write(body[start : start + 2**18])
                time.sleep(0.01)

    def _terminate(self, handler: Handler) -> None:
        with self._busy():
            handler._terminate(urlsplit(handler.path).path.split("/")[-1])
