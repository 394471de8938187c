"""A log may come packed: where it comes whole each time, that is most of what a follower costs."""

from __future__ import annotations

import gzip
import json

from pifopfs.api import FunctionClient
from pifopfs.wire import ExecutionId
from tests.fakeservice import FakeExecution, FakeService, Handler

E = ExecutionId("exec_1")


async def test_a_log_is_asked_for_packed_and_unpacked(service: FakeService) -> None:
    service.executions[E] = FakeExecution(E, "running")
    said = "a line\n" * 100_000
    sent: list[int] = []

    def packed(handler: Handler) -> None:
        assert handler.headers["Accept-Encoding"] == "gzip"
        document = service.executions[E].document() | {"log": said}
        body = gzip.compress(json.dumps(document).encode())
        sent.append(len(body))
        handler.raw(body, kind="application/json", headers={"Content-Encoding": "gzip"})

    service.fault("log", packed)
    async with FunctionClient("joe/tsp", endpoint=service.endpoint) as client:
        piece = await client.log(E)
    assert piece.content.decode() == said
    assert sent[0] < len(said) / 10
