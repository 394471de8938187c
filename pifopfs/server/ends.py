"""Those who wait for the end of an execution, which costs nothing while they do."""

from __future__ import annotations

import trio

from pifopfs.wire import ExecutionId


class Ends:
    """Who waits for which execution."""

    def __init__(self) -> None:
        self._waiting: dict[ExecutionId, trio.lowlevel.ParkingLot] = {}
        """None of them is empty."""

    async def wait(self, execution: ExecutionId) -> None:
        """Return when the execution ends, or goes, from now on."""
        lot = self._waiting.setdefault(execution, trio.lowlevel.ParkingLot())
        try:
            await lot.park()
        finally:
            if not lot and self._waiting.get(execution) is lot:
                del self._waiting[execution]

    def tell(self, execution: ExecutionId) -> None:
        """It has ended, or gone."""
        lot = self._waiting.pop(execution, None)
        if lot is not None:
            lot.unpark_all()
