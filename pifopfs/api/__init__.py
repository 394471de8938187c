"""A client of the REST API of PIFOP Functions, on trio; a library of its own.

    async with FunctionClient("joe/tsp", api_key=ApiKey.from_file(path)) as tsp:
        execution = await tsp.create()
        …

Its errors are the ServiceErrors of `pifopfs.errors`, its documents those of `pifopfs.wire`.
"""

from pifopfs.api.bodies import OpenFile, OutputStream
from pifopfs.api.client import FunctionClient
from pifopfs.api.credentials import ApiKey
from pifopfs.api.deadlines import Deadlines
from pifopfs.api.endpoint import DEFAULT_ENDPOINT, Endpoint

__all__ = [
    "DEFAULT_ENDPOINT",
    "ApiKey",
    "Deadlines",
    "Endpoint",
    "FunctionClient",
    "OpenFile",
    "OutputStream",
]
