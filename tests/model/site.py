"""A mount on a service that remembers every upload, and the process that makes calls in it."""

from __future__ import annotations

import re
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from tests.fakeservice import FakeExecution, FakeService, Handler, until
from tests.model.files import DECLARED, Upload
from tests.model.worker import Worker
from tests.mount.harness import Mount

REFUSED = re.compile(r"\(exec_\w+\): upload of input ")
"""What the daemon's log says when an upload has failed."""


class RecordingService(FakeService):
    """The fake service. It gives no id twice, and can refuse uploads as too large."""

    def __init__(self, socket: Path) -> None:
        super().__init__(socket, DECLARED)
        self.accepting = True
        self.uploads: list[Upload] = []
        self._ids, self._refusals = count(), count()
        self.fault("create", self._create)
        self.fault("upload", self._upload)

    def _create(self, handler: Handler) -> None:
        execution = FakeExecution(f"exec_{next(self._ids):016d}")
        self.executions[execution.id] = execution
        handler.json(execution.document())

    def _upload(self, handler: Handler) -> None:
        found = re.search(r"executions/([^/]+)/input/([^/?]+)", handler.path)
        assert found is not None
        id_, name = found[1], unquote(found[2])
        content, accepted = handler._body(), self.accepting
        execution = self.executions.get(id_)
        right = execution is not None and execution.status == "pending" and name in DECLARED
        if execution is not None and right and accepted:
            execution.inputs[name] = content
        self.uploads.append(Upload(id_, name, content, accepted))
        if not right:
            handler.fail(409, "this upload should not have been sent")
        elif accepted:
            handler.json({"id": name, "size": len(content)})
        else:
            handler.fail(413, f"refusal {next(self._refusals)}")  # the log tells of each


class Site:
    """Use as a context manager."""

    def __init__(self, root: Path) -> None:
        self.service = RecordingService(root / "s.sock")
        self.mount = Mount(root, "joe/tsp", "--endpoint", self.service.endpoint)
        self.worker = Worker()

    def __enter__(self) -> Site:
        self.service.up()
        self.mount.mount()
        return self

    def __exit__(self, *_: object) -> None:
        self.worker.kill()
        self.mount.clean_up()
        self.service.down()

    def path(self, execution: str, *names: str) -> str:
        return "/".join((str(self.mount.path), "executions", execution, *names))

    def call(self, name: str, *arguments: object) -> Any:
        """Make a system call in the mount. Raises OSError."""
        return self.worker.call(name, *arguments)

    def refusals(self) -> int:
        """Failed uploads that the daemon has taken note of."""
        return len(REFUSED.findall(self.mount.log))

    def remount(self) -> None:
        """Nothing may be open."""
        self.mount.umount()
        self.mount.mount()

    def crash(self) -> None:
        """kill -9, and a new mount in the place of the dead one."""
        self.mount.kill()
        self.mount.mount()

    def empty(self) -> None:
        """As in the beginning: nothing open, no execution, a service that takes everything."""
        self.worker.kill()
        self.worker = Worker()
        self.service.accepting = True
        if not self.mount.mounted() or self._is_dead():
            self.mount.mount()
        for name in self.call("list", self.path("")):
            self.call("rmdir", self.path(name))
        self.service.executions.clear()
        self.service.requests.clear()
        self.service.uploads.clear()

    def _is_dead(self) -> bool:
        try:
            self.call("list", self.path(""))
        except OSError:
            return True
        return False

    def status_becomes(self, execution: str, status: str) -> None:
        """Wait until the mount shows what has happened at the service."""
        path = self.path(execution, "status")
        until(lambda: self.call("content", path) == f"{status}\n", 5, f"{execution} is {status}")
