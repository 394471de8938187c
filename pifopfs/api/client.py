"""The client: one method for each endpoint of the REST API."""

from __future__ import annotations

from functools import partial

from pifopfs import errors, wire
from pifopfs.api import documents
from pifopfs.api.answers import Call
from pifopfs.api.requests import LARGEST_LOG, Request, segment, without_log
from pifopfs.api.retries import Remembering
from pifopfs.api.transfers import Transfers
from pifopfs.wire import ExecutionId


class FunctionClient(Transfers):
    """A function of PIFOP Functions, called over its REST API. Use it with `async with`, in trio.

    Every method raises a ServiceError of `pifopfs.errors` when it fails, within the deadlines.
    Reads, uploads that can be repeated, stop and terminate are tried again after failures that
    pass; creating and starting never are (`start` asks for the status instead).
    """

    # ── The function ─────────────────────────────────────────────────────────────────────────

    async def function(self) -> wire.Function:
        """The Function object. Raises FunctionUnknown."""
        request = Request(Call.FUNCTION, "GET", self._path, f"of {self.name}")
        return await self._read(request, wire.Function.from_json)

    async def create(self) -> wire.Execution:
        """A new execution, pending. One request: after Unclear there may be one nobody knows of.

        Raises TooManyExecutions.
        """
        request = without_log(Call.CREATE, "POST", f"{self._path}/executions", f"of {self.name}")
        return await self._exchange.document(
            request, wire.Execution.from_json, within=self._deadlines.create
        )

    # ── An execution ─────────────────────────────────────────────────────────────────────────

    async def start(self, execution: ExecutionId) -> wire.Execution:
        """Start it, once. After an unclear outcome the status decides.

        Raises AlreadyRunning, AlreadyEnded, TooManyExecutions.
        """
        path = self._of(execution, "/start")
        request = without_log(Call.START, "POST", path, f"of {execution}")
        try:
            return await self._exchange.document(
                request, partial(documents.execution, execution), within=self._deadlines.total
            )
        except errors.Unclear as unclear:
            try:
                seen = await self.execution(execution)
            except errors.ServiceError:
                raise unclear from None
            if seen.status is wire.Status.PENDING:
                raise
            return seen
        except errors.Refused as error:
            raise await self._explained(request, execution, error) from None

    async def log(self, execution: ExecutionId, offset: int = 0) -> wire.LogPiece:
        """The Execution object with its log from byte `offset` on, or the whole log where the
        service cannot tell a part: look at the answer's `offset`. Raises ExecutionUnknown.
        """
        request = Request(
            Call.LOG,
            "GET",
            self._of(execution),
            f"of {execution}",
            params={"include_log": "true", "log_offset": offset},
            headers={"Accept-Encoding": "gzip"},  # it may be long, and come whole each time
            largest=LARGEST_LOG,
        )
        return await self._read(request, partial(documents.log, execution))

    async def stop(self, execution: ExecutionId) -> wire.Execution:
        """End a running execution; one that has ended stays as it is. Raises NotStarted."""
        path = self._of(execution, "/stop")
        request = without_log(Call.STOP, "POST", path, f"of {execution}")
        try:
            return await self._exchange.document(
                request,
                partial(documents.execution, execution),
                within=self._deadlines.total,
                policy=self._repeating,
            )
        except errors.Refused as error:
            raise await self._explained(request, execution, error) from None

    async def terminate(self, execution: ExecutionId) -> None:
        """Delete the execution, also when it runs. Raises ExecutionUnknown."""
        path = self._of(execution)
        request = without_log(Call.TERMINATE, "DELETE", path, f"of {execution}")
        await self._delete(request, errors.ExecutionUnknown, self._deadlines.create)

    # ── API keys: for the author, with the master key ────────────────────────────────────────

    async def create_api_key(
        self,
        name: str,
        *,
        max_memory: float | None = None,
        max_time: float | None = None,
        max_executions: int | None = None,
    ) -> wire.ApiKeyInfo:
        """A new key for this function; limits in megabytes, minutes, running executions.

        Needs the master key as `api_key`. Raises RequestRejected where the name is taken.
        """
        limits = {"max_memory": max_memory, "max_time": max_time, "max_executions": max_executions}
        params = {"key_name": name} | {k: str(v) for k, v in limits.items() if v is not None}
        path = f"{self._path}/api_keys"
        request = Request(Call.CREATE_KEY, "POST", path, f"{name!r}", params=params)
        return await self._exchange.document(
            request, wire.ApiKeyInfo.from_json, within=self._deadlines.total
        )

    async def delete_api_key(self, name: str) -> None:
        """Take a key back. Needs the master key. Raises ApiKeyUnknown."""
        part = segment(name, errors.ApiKeyUnknown, f"{Call.DELETE_KEY} {name!r}")
        path = f"{self._path}/api_keys/{part}"
        request = Request(Call.DELETE_KEY, "DELETE", path, f"{name!r}")
        await self._delete(request, errors.ApiKeyUnknown, self._deadlines.total)

    # ── What they share ──────────────────────────────────────────────────────────────────────

    async def _delete(
        self, request: Request, unknown: type[errors.ServiceError], within: float
    ) -> None:
        """Delete, again where that may help: it is done when a later try finds nothing."""
        policy = Remembering(self._repeating)
        try:
            await self._exchange.document(request, _anything, within=within, policy=policy)
        except unknown:
            if not policy.unclear:
                raise


def _anything(document: object) -> None:
    """What is deleted needs no reading."""
