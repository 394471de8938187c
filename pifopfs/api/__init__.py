"""A client of the REST API of PIFOP Functions, on trio; a library of its own.

    async with FunctionClient("joe/tsp", api_key=KeyFile(path)) as tsp:
        execution = await tsp.create()
        …

Its errors are the ServiceErrors of `pifopfs.errors`, its documents those of `pifopfs.wire`.
"""

from pifopfs.api.bodies import Growing, OpenFile
from pifopfs.api.bulk.process import BulkProcess
from pifopfs.api.client import FunctionClient
from pifopfs.api.credentials import ApiKey, KeySource
from pifopfs.api.deadlines import Deadlines
from pifopfs.api.downloads import OutputStream
from pifopfs.api.endpoint import DEFAULT_ENDPOINT, Endpoint
from pifopfs.api.incoming import Head, Incoming, Span
from pifopfs.api.keyfiles import KeyFile

__all__ = [
    "DEFAULT_ENDPOINT",
    "ApiKey",
    "BulkProcess",
    "Deadlines",
    "Endpoint",
    "FunctionClient",
    "Growing",
    "Head",
    "Incoming",
    "KeyFile",
    "KeySource",
    "OpenFile",
    "OutputStream",
    "Span",
]
