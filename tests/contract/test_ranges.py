"""Parts of outputs: what a client gets that asks for a range, and that it never mixes two files."""

from __future__ import annotations

import os
from pathlib import Path

import httpx
import pytest

from tests.contract.conftest import Site, eventually
from tests.contract.test_http import FN, create, open_outputs, refused, run, start

CONTENT = bytes(range(256)) * 4
SIZE = len(CONTENT)


@pytest.fixture
async def output(http: httpx.AsyncClient) -> str:
    """The address of an output with `CONTENT`."""
    return await uploaded_output(http, CONTENT)


async def uploaded_output(http: httpx.AsyncClient, content: bytes) -> str:
    execution = await create(http)
    await http.post(f"{execution}/input/a", content=content)
    await start(http, execution)
    return f"{execution}/output/r"


async def ask(http: httpx.AsyncClient, output: str, range_: str, **more: str) -> httpx.Response:
    return await http.get(output, headers={"Range": range_, **more})


PARTS = {
    "bytes=0-0": (0, 1),
    "bytes=0-": (0, SIZE),
    "bytes=5-9": (5, 10),
    "bytes=1000-": (1000, SIZE),
    "bytes=1000-99999": (1000, SIZE),
    "bytes=1000-99999999999999999999999999": (1000, SIZE),
    "bytes=1023-1023": (1023, SIZE),
    "bytes=-1": (SIZE - 1, SIZE),
    "bytes=-100": (SIZE - 100, SIZE),
    "bytes=-99999": (0, SIZE),
    "Bytes = 5 - 9": (5, 10),
}


@pytest.mark.parametrize("range_", PARTS)
async def test_a_part_of_an_output(http: httpx.AsyncClient, output: str, range_: str) -> None:
    start, end = PARTS[range_]
    answer = await ask(http, output, range_)
    assert answer.status_code == 206
    assert answer.content == CONTENT[start:end]
    assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/{SIZE}"
    assert answer.headers["Content-Length"] == str(end - start)
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize("range_", ["bytes=1024-", "bytes=99999999999999999999-", "bytes=-0"])
async def test_a_part_that_is_beyond_the_end(
    http: httpx.AsyncClient, output: str, range_: str
) -> None:
    answer = await ask(http, output, range_)
    assert str(SIZE) in refused(answer, 416)
    assert answer.headers["Content-Range"] == f"bytes */{SIZE}"
    assert open_outputs() == []


@pytest.mark.parametrize("range_", ["bytes=0-", "bytes=-5"])
async def test_an_empty_output_has_no_parts(http: httpx.AsyncClient, range_: str) -> None:
    empty = await uploaded_output(http, b"")
    answer = await ask(http, empty, range_)
    refused(answer, 416)
    assert answer.headers["Content-Range"] == "bytes */0"


@pytest.mark.parametrize(
    "range_",
    ["", "bytes", "bytes=", "bytes=-", "bytes=5", "bytes=9-5", "bytes=a-b", "bytes=0x1-2",
     "bytes=+1-2", "bytes=1-2,5-6", "bytes=0-,", "lines=1-2", "bytes=" + "9" * 5000 + "-",
     "bytes=\xb2-5"],
)  # fmt: skip
async def test_several_ranges_and_what_is_none_give_the_whole(
    http: httpx.AsyncClient, output: str, range_: str
) -> None:
    answer = await http.get(output, headers=[(b"Range", range_.encode("latin-1"))])
    assert (answer.status_code, answer.content) == (200, CONTENT)
    assert "Content-Range" not in answer.headers


async def test_whole_and_head_say_that_there_are_parts(
    http: httpx.AsyncClient, output: str
) -> None:
    for answer in (await http.get(output), await http.head(output)):
        assert answer.status_code == 200
        assert answer.headers["Accept-Ranges"] == "bytes"
        assert answer.headers["Content-Length"] == str(SIZE)
        tag = answer.headers["ETag"]
        assert tag.startswith('"')
        assert tag.endswith('"')


async def test_head_has_no_parts(http: httpx.AsyncClient, output: str) -> None:
    for range_ in ("bytes=0-0", "bytes=9999-"):
        answer = await http.head(output, headers={"Range": range_})
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["Content-Length"] == str(SIZE)


async def test_the_tag_of_an_output_stays_also_when_the_server_begins_again(
    site: Site, http: httpx.AsyncClient, output: str
) -> None:
    tags = {(await http.get(output)).headers["ETag"] for _ in range(3)}
    tags.add((await ask(http, output, "bytes=3-4")).headers["ETag"])
    await site.down()
    await site.up()
    async with site.http() as again:
        tags.add((await again.head(output)).headers["ETag"])
    assert len(tags) == 1


async def test_another_output_has_another_tag(http: httpx.AsyncClient, output: str) -> None:
    other = await uploaded_output(http, CONTENT)
    assert (await http.head(other)).headers["ETag"] != (await http.head(output)).headers["ETag"]


async def test_the_rest_of_another_file_is_never_given(
    site: Site, http: httpx.AsyncClient, output: str
) -> None:
    tag = (await http.head(output)).headers["ETag"]
    whole = {"If-Range": tag}
    assert (await ask(http, output, "bytes=5-9", **whole)).content == CONTENT[5:10]
    for other in ('"x"', f"W/{tag}", "Fri, 27 Nov 2026 12:00:00 GMT", ""):
        answer = await ask(http, output, "bytes=5-9", **{"If-Range": other})
        assert (answer.status_code, answer.content) == (200, CONTENT)
    change_in_secret(next((site.state / "executions").glob("*/work/r.txt")))
    answer = await ask(http, output, "bytes=5-9", **whole)
    assert (answer.status_code, answer.content) == (200, CONTENT[::-1])


def change_in_secret(path: Path) -> None:
    """Other bytes, as many, in the same file, which seems as old."""
    status = path.stat()
    with path.open("r+b") as file:
        file.write(CONTENT[::-1])
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


async def test_if_range_without_a_range_gives_the_whole(
    http: httpx.AsyncClient, output: str
) -> None:
    answer = await http.get(output, headers={"If-Range": '"x"'})
    assert (answer.status_code, answer.content) == (200, CONTENT)


async def test_a_part_far_into_a_large_output_comes_without_the_rest(
    site: Site, http: httpx.AsyncClient
) -> None:
    site.function("big", "truncate -s 1T r.txt; printf end >> r.txt")
    output = f"{await run(http, '/joe/big')}/output/r"
    assert (await ask(http, output, "bytes=-3")).content == b"end"
    part = await ask(http, output, f"bytes={(1 << 40) - 600_000}-")
    assert part.content == bytes(600_000) + b"end"

    async def closed() -> bool:
        return not open_outputs()

    await eventually(closed)


async def test_parts_are_of_outputs_alone(http: httpx.AsyncClient) -> None:
    answer = await http.get(FN, headers={"Range": "bytes=0-0"})
    assert answer.status_code == 200
    assert answer.json()["id"] == "fn"


async def test_an_output_that_looks_like_an_answer_is_not_touched(site: Site) -> None:
    """A body was taken for the head of an error without a body, and had one put in."""
    content = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"
    async with site.http() as http:
        output = await uploaded_output(http, content)
        assert (await http.get(output)).content == content
