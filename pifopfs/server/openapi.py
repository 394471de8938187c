"""The description of the API for programs, as it is served; see openapi.json."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from pifopfs import __version__
from pifopfs.server import answers

PATH = "/openapi.json"


def document() -> dict[str, Any]:
    """The OpenAPI document."""
    text = resources.files("pifopfs.server").joinpath("openapi.json").read_text("utf-8")
    described: dict[str, Any] = json.loads(text)
    described["info"]["version"] = __version__
    return described


async def answer(_: Request) -> Response:
    """It needs no key: nothing in it is a secret."""
    return answers.success(document())
