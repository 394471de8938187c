"""Pages of other origins can use the API: what browsers ask for, and what they must be told."""

from __future__ import annotations

import httpx
import pytest

from tests.contract.conftest import Site
from tests.contract.test_http import FN, run

ALLOWED = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, HEAD, POST, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, Content-Type",
    "Access-Control-Max-Age": "600",
}


@pytest.mark.keys
@pytest.mark.parametrize("path", ["/", FN, f"{FN}/executions/exec_x/input/a", "/a/b/c/d/e/f", "*"])
async def test_a_preflight_needs_no_key(site: Site, http: httpx.AsyncClient, path: str) -> None:
    asked = {"Origin": "https://example.org", "Access-Control-Request-Method": "POST"}
    answer = await http.options(path, headers=asked)
    assert (answer.status_code, answer.content) == (204, b"")
    for name, value in ALLOWED.items():
        assert answer.headers[name] == value
    assert "Access-Control-Allow-Private-Network" not in answer.headers
    assert "Access-Control-Allow-Credentials" not in answer.headers


async def test_a_preflight_from_a_public_page_to_a_private_network(
    http: httpx.AsyncClient,
) -> None:
    asked = {"Access-Control-Request-Private-Network": "true"}
    answer = await http.options(FN, headers=asked)
    assert answer.headers["Access-Control-Allow-Private-Network"] == "true"


async def test_every_answer_can_be_read_by_every_page(http: httpx.AsyncClient) -> None:
    execution = await run(http)
    for method, path in [
        ("GET", FN), ("GET", execution), ("GET", f"{execution}/output/r"),
        ("POST", f"{FN}/executions"), ("GET", "/joe/nothing"), ("PUT", FN),
        ("POST", f"{execution}/start"), ("HEAD", FN),
        ("DELETE", execution),
    ]:  # fmt: skip
        answer = await http.request(method, path)
        assert answer.headers["Access-Control-Allow-Origin"] == "*", (method, path)
        assert len(answer.headers.get_list("Access-Control-Allow-Origin")) == 1
