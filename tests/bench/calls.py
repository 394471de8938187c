"""The calls of a job by one curl handle that keeps its connection, as if written by hand.

Not in `rivals`, whose rows do without pycurl.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import pycurl

from tests.bench.processes import PATIENCE, RowFailed

PAUSE = 0.01
"""Seconds between two questions whether a job has ended."""
WAIT = "wait=30"
"""Asks the server to answer when it has ended. One that cannot do that answers at once."""


class Caller:
    """One curl handle that keeps its connection, for the calls of a job."""

    def __init__(self, endpoint: str, function: str, ca_file: Path, key: str | None = None) -> None:
        self._base = f"{endpoint}/joe/{function}"
        self._curl = pycurl.Curl()
        self._curl.setopt(pycurl.CAINFO, str(ca_file))
        self._curl.setopt(pycurl.TIMEOUT, int(PATIENCE))
        if key is not None:
            self._curl.setopt(pycurl.HTTPHEADER, [f"Authorization: Bearer {key}", "Expect:"])

    def call(self, method: str, path: str, body: bytes = b"") -> bytes:
        """The answer's body. Raises RowFailed."""
        self._curl.setopt(pycurl.URL, self._base + path)
        self._curl.setopt(pycurl.HTTPGET, True)
        if method == "POST":
            self._curl.setopt(pycurl.POST, True)
            self._curl.setopt(pycurl.POSTFIELDS, body)
        self._curl.setopt(pycurl.CUSTOMREQUEST, method)
        try:
            answer: bytes = self._curl.perform_rb()
        except pycurl.error as error:
            raise RowFailed(f"{method} {path}: {error}") from error
        code = self._curl.getinfo(pycurl.RESPONSE_CODE)
        if code // 100 != 2:
            raise RowFailed(f"{method} {path}: {code} {answer[:200]!r}")
        return answer

    def job(self, content: bytes) -> bytes:
        """All calls of a job, one after the other; the output `r`."""
        made = json.loads(self.call("POST", "/executions?include_log=false"))
        execution = f"/executions/{made['id']}"
        self.call("POST", f"{execution}/input/a", content)
        self.call("POST", f"{execution}/start?include_log=false")
        status, end = f"{execution}?include_log=false&{WAIT}", time.monotonic() + PATIENCE
        while json.loads(self.call("GET", status))["status"] != "ended":
            if time.monotonic() > end:
                raise RowFailed(f"a job did not end within {PATIENCE:g} s")
            time.sleep(PAUSE)
        result = self.call("GET", f"{execution}/output/r")
        self.call("DELETE", f"{execution}?include_log=false")
        return result

    def close(self) -> None:
        self._curl.close()
