"""The OpenAPI document: it says what the server has, and the server does what it says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from pifopfs.server.openapi import document
from tests.contract.conftest import Site
from tests.functions import write_function
from tests.mount.harness import PIFOPFS, environment
from tests.mount.test_serve import serving

CONFIG = """
[parameters]
author = "joe"
function = "fn"
input = "a"
output = "r"
wait = "0.01"
[warnings]
fail-on = ["missing_test_data", "missing_auth"]
"""
"""What exists, and that it has to come there: an address that only ever answers 404 is a warning.
"""
SEED = "20253"
"""So that the test does not depend on luck; try others after a change of the API."""


@pytest.mark.keys
async def test_the_document_needs_no_key(site: Site, http: httpx.AsyncClient) -> None:
    answer = await http.get("/openapi.json")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json() == document()


async def test_the_document_has_every_address_and_the_server_every_one_of_its(
    site: Site,
) -> None:
    app = site.app
    served = {
        (method.lower(), route.path) for route in app.routes for method in route.methods - {"HEAD"}
    }
    described = {
        (method, path)
        for path, item in document()["paths"].items()
        for method in item
        if method != "parameters"
    }
    shape = {(method, _shape(path)) for method, path in served}
    assert shape == {(method, _shape(path)) for method, path in described}


def _shape(path: str) -> str:
    return "/".join("{}" if part.startswith("{") else part for part in path.split("/"))


def test_schemathesis_finds_nothing(root: Path) -> None:
    write_function(root / "fns" / "joe" / "fn", "cat a.txt > r.txt")
    (root / "schemathesis.toml").write_text(CONFIG)
    with serving(root, "--port", "0") as (process, ready):
        assert process.stdout is not None
        certificate = process.stdout.readline().split()[1]
        key = subprocess.run(
            [*PIFOPFS, "keys", "master", "joe/fn"],
            env=environment(root), capture_output=True, text=True, check=True, timeout=20,
        ).stdout.strip()  # fmt: skip
        result = subprocess.run(
            [Path(sys.executable).parent / "schemathesis",
             "--config-file", root / "schemathesis.toml",
             "run", f"{ready.split(' on ')[1].strip()}/openapi.json",
             "--header", f"Authorization: Bearer {key}", "--tls-verify", certificate,
             "--max-examples", "30", "--seed", SEED, "--no-color", "--generation-database", "none"],
            env=environment(root) | {"no_proxy": "*"}, cwd=root,
            capture_output=True, text=True, check=False, timeout=110,
        )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Tested: 11" in result.stdout, result.stdout  # all but the document itself
