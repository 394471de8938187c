"""The bytes of an input on their way to the disk and to the service."""

from __future__ import annotations

import os

from pifopfs.api import OpenFile
from pifopfs.tree.early import EarlyUpload
from pifopfs.tree.execution import Execution

FEW = 1 << 20
"""Bytes that are brought to the disk before they are sent: together with others, and at once."""


async def send(
    execution: Execution, name: str, file: int, early: EarlyUpload | None = None
) -> bool:
    """Upload an open file as the input `name`, unless `early` has; whether it is on the disk, too.

    Before the service can have any of it, all that is recorded is on the disk. Raises
    ServiceError, LocalStorageFailed.
    """
    client, names = execution.shared.client, execution.shared.names
    size = os.fstat(file).st_size
    few = size <= FEW
    await (names.safe(file) if few else names.safe())
    if early is None or not await early.finish(size):
        await client.upload(execution.id, name, OpenFile(file))
    return few
