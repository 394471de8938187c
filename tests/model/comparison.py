"""A mount and its model side by side: the same call on both, the same answers and effects.

After each call the service has got exactly the requests that the model says, and what can be seen
of the execution is what the model has.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

from hypothesis.stateful import RuleBasedStateMachine

from tests.fakeservice import until
from tests.model.files import Execution, Handle
from tests.model.model import Model
from tests.model.site import Site

Descriptor = tuple[int, Handle]
Outcome = tuple[str, Any]


def agree(seen: object, expected: object, what: object) -> None:
    """Fail where the mount and the model differ."""
    assert seen == expected, f"{what}:\n  the mount {seen!r:.2000}\n  the model {expected!r:.2000}"


def outcome(call: Callable[..., Any], *arguments: Any) -> Outcome:
    """What a call answers, in words."""
    try:
        return "value", call(*arguments)
    except OSError as error:
        return "error", errno.errorcode[error.errno or 0]


class Comparison(RuleBasedStateMachine):
    """What the rules of a machine use."""

    site: Site
    """One for all sequences: a mount takes a second."""

    def __init__(self) -> None:
        super().__init__()
        self.site.empty()
        self.model = Model()
        self.noted = self.site.refusals()
        """Refused uploads that the daemon's log has told of."""
        self.open: dict[int, Handle] = {}

    def same(self, expected: Outcome, name: str, *arguments: object) -> Outcome:
        """Make the call and compare its answer; bytes are compared as text."""
        actual = outcome(self.site.call, name, *arguments)
        if isinstance(expected[1], bytes):
            expected = expected[0], expected[1].decode("latin-1")
        agree(actual, expected, (name, *arguments))
        return actual

    def check_requests(self) -> None:
        """The service has got what the model says, once what no close waits for has come."""
        service, model = self.site.service, self.model
        until(lambda: len(service.uploads) >= len(model.uploads), 10, f"{model.uploads} uploaded")
        agree(sorted(service.uploads), sorted(model.uploads), "uploads")
        refused = sum(not upload.accepted for upload in model.uploads)
        if refused:  # … and the daemon has taken note
            self.noted += refused
            until(lambda: self.site.refusals() >= self.noted, 10, "a refusal is noted")
        service.uploads.clear()
        model.uploads.clear()
        for name, expected in model.requests.items():
            agree(service.count(name), expected, f"requests to {name}")
        there = {execution.id: execution.inputs for execution in service.executions.values()}
        known = {execution.id: execution.service for execution in model.executions.values()}
        agree(there, known, "what the service has")

    def check_list(self) -> None:
        self.same(("value", sorted(self.model.executions)), "list", self.site.path(""))

    def check_execution(self, name: str) -> None:
        """What can be seen of an execution."""
        self.check_requests()
        execution = self.model.executions.get(name)
        if execution is None:
            return
        seen = self.site.call("look", self.site.path(name))
        seen["error"] = seen["error"].partition(": ")[0]
        if execution.status != "pending":  # the kernel may show the old mode for a second
            for each in seen["input"].values():
                each[2] = oct(int(each[2], 8) & 0o500)
        agree(seen, self.shown(execution), name)

    def shown(self, execution: Execution) -> dict[str, Any]:
        """What `look` should give; of `error` only the operation."""
        inputs = {
            file.name: [file.content.decode("latin-1"), len(file.content), oct(file.shown_mode)]
            for file in execution.files.values()
        }
        return {
            "input": inputs,
            "output": {key: value.decode() for key, value in execution.outputs.items()},
            "status": f"{execution.status}\n",
            "end_reason": f"{execution.end_reason}\n" if execution.end_reason else "",
            "error": execution.failed,
        }

    def on(self, descriptor: Descriptor, call: Callable[..., Any], name: str, *more: Any) -> None:
        """Make a call on an open file."""
        number, handle = descriptor
        if self.open.get(number) is handle:
            texts = [each.decode("latin-1") if isinstance(each, bytes) else each for each in more]
            self.same(outcome(call, handle, *more), name, number, *texts)
            self.same(("value", len(handle.file.content)), "size", number)
            self.check_requests()

    def close_one(self, number: int, handle: Handle) -> None:
        """Close a descriptor, if it is open."""
        if self.open.get(number) is handle:
            del self.open[number]
            self.same(outcome(self.model.close, handle), "close", number)
            self.check_requests()

    def close_all(self, execution: Execution | None) -> None:
        """Close what is open of an execution."""
        for number, handle in list(self.open.items()):
            if handle.file.execution is execution:
                self.close_one(number, handle)
