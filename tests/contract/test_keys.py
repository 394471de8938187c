"""Keys: who is admitted, who sees what, and which limits hold for whom."""

from __future__ import annotations

import stat
from collections.abc import AsyncIterator

import httpx
import pytest

from pifopfs import errors
from tests.contract.conftest import Site
from tests.contract.test_http import FN, create, eventually, refused, start

pytestmark = pytest.mark.keys


@pytest.fixture
async def anybody(http: httpx.AsyncClient) -> httpx.AsyncClient:
    """Without a key; it has asked once, which makes the master key."""
    headers = {"Authorization": "Bearer x"}
    refused(await http.get(FN, headers=headers), 401)
    return http


@pytest.fixture
async def master(site: Site, anybody: httpx.AsyncClient) -> AsyncIterator[httpx.AsyncClient]:
    async with site.http(site.master()) as client:
        yield client


async def new_key(master: httpx.AsyncClient, name: str, **limits: object) -> str:
    answer = await master.post(f"{FN}/api_keys", params={"key_name": name, **limits})
    assert answer.status_code == 200, answer.text
    key = answer.json()["key"]
    assert isinstance(key, str)
    return key


# ── Admission ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Basic am9lOng=", "apikey_1", "Bearer undefined"]
)
@pytest.mark.parametrize(
    ("method", "path"), [("GET", ""), ("POST", "/executions"), ("POST", "/api_keys?key_name=x")]
)
async def test_without_a_key_nothing_is_done(
    site: Site, http: httpx.AsyncClient, header: str | None, method: str, path: str
) -> None:
    headers = {} if header is None else {"Authorization": header}
    answer = await http.request(method, FN + path, headers=headers)
    refused(answer, 401)
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert list((site.state / "executions").iterdir()) == []


async def test_a_function_that_is_unknown_is_told_only_with_a_key(http: httpx.AsyncClient) -> None:
    refused(await http.get("/joe/nothing"), 401)
    refused(await http.get("/joe/nothing", headers={"Authorization": "Bearer x"}), 404)


async def test_the_scheme_is_written_in_any_case(site: Site, anybody: httpx.AsyncClient) -> None:
    for scheme in ("bearer", "BEARER", "Bearer "):
        headers = {"Authorization": f"{scheme} {site.master()}"}
        assert (await anybody.get(FN, headers=headers)).status_code == 200


async def test_a_key_is_for_one_function(site: Site, master: httpx.AsyncClient) -> None:
    site.function("other")
    key = await new_key(master, "david")
    for text in (key, site.master()):
        headers = {"Authorization": f"Bearer {text}"}
        refused(await master.get("/joe/other", headers=headers), 401)


async def test_the_master_key_is_kept_for_its_user_alone(
    site: Site, master: httpx.AsyncClient
) -> None:
    path = site.state / "master-keys" / "joe" / "fn"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for folder in (path.parent, path.parent.parent):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert path.read_text().strip().startswith("master_")
    first = site.master()
    await site.down()
    await site.up()
    assert site.master() == first
    assert (await master.get(FN)).status_code == 200
    path.unlink()
    refused(await master.get(FN), 401)
    assert site.master() != first


async def test_an_api_key_is_kept_only_as_a_hash(site: Site, master: httpx.AsyncClient) -> None:
    key = await new_key(master, "david")
    await site.down()
    for path in site.state.rglob("*"):
        if path.is_file() and not path.is_symlink():
            assert key.encode() not in path.read_bytes()
            assert key.removeprefix("apikey_").encode() not in path.read_bytes()
    await site.up()
    async with site.http(key) as david:
        assert (await david.get(FN)).status_code == 200


@pytest.mark.parametrize("document", [None, "{"])
async def test_regression_a_stranger_learns_nothing_of_a_broken_function(
    site: Site, anybody: httpx.AsyncClient, document: str | None
) -> None:
    """Only who holds a key of the function is told what is wrong with it."""
    if document is not None:
        (site.root / "fns" / "joe" / "fn" / "function.json").write_text(document)
    answer = await anybody.get(FN, headers={"Authorization": "Bearer apikey_x"})
    assert refused(answer, 401) == "this is not a key of joe/fn"


# ── Managing keys ─────────────────────────────────────────────────────────────────────────────


async def test_a_new_key_and_its_end(site: Site, master: httpx.AsyncClient) -> None:
    query = {"key_name": "david", "max_memory": "1.5", "max_time": "2", "max_executions": "3"}
    made = (await master.post(f"{FN}/api_keys", params=query)).json()
    key = made.pop("key")
    assert key.startswith("apikey_")
    assert len(key) == len("apikey_") + 48
    assert made == {
        "name": "david",
        "max_memory": 1.5,
        "max_time": 2,
        "max_executions": 3,
        "max_parallel_jobs": 3,
    }
    told = (await master.get(FN)).json()
    assert told["api_keys"] == [made]
    assert "max_executions" not in told
    async with site.http(key) as david:
        document = (await david.get(FN)).json()
        assert document["max_executions"] == 3
        assert "api_keys" not in document
        assert document["isolation"] == "bubblewrap"
        assert (await master.delete(f"{FN}/api_keys/david")).json() == made
        refused(await david.get(FN), 401)
    refused(await master.delete(f"{FN}/api_keys/david"), 404)
    assert (await master.get(FN)).json()["api_keys"] == []


async def test_the_names_that_clients_use(master: httpx.AsyncClient) -> None:
    query = {"name": "js", "max_parallel_jobs": "2", "max_memory": "", "max_time": ""}
    made = (await master.post(f"{FN}/api_keys", params=query)).json()
    assert (made["name"], made["max_executions"], made["max_memory"]) == ("js", 2, None)
    query = {"name": "not", "key_name": "this", "max_executions": "1", "max_parallel_jobs": "2"}
    made = (await master.post(f"{FN}/api_keys", params=query)).json()
    assert (made["name"], made["max_executions"]) == ("this", 1)


@pytest.mark.parametrize(
    "query",
    [
        "", "key_name=", "key_name=a%2Fb", "key_name=..", f"key_name={'x' * 65}", "key_name=a%20b",
        *(
            f"key_name=x&{name}={value}"
            for name in ("max_memory", "max_time", "max_executions")
            for value in ("0", "-1", "x", "nan", "inf", "1e999", "1_0")
        ),
        "key_name=x&max_executions=1.5", "key_name=x&max_parallel_jobs=0",
        "key_name=x&max_executions=1&max_parallel_jobs=0", "key_name=x&max_time=+1",
    ],
)  # fmt: skip
async def test_a_key_that_cannot_be_made(master: httpx.AsyncClient, query: str) -> None:
    refused(await master.post(f"{FN}/api_keys?{query}"), 400)
    assert (await master.get(FN)).json()["api_keys"] == []


async def test_a_name_is_taken_once(site: Site, master: httpx.AsyncClient) -> None:
    first = await new_key(master, "david")
    answer = await master.post(f"{FN}/api_keys", params={"key_name": "david"})
    assert "david" in refused(answer, 409)
    async with site.http(first) as david:
        assert (await david.get(FN)).status_code == 200


async def test_a_key_can_be_withdrawn_while_its_function_cannot_run(
    site: Site, master: httpx.AsyncClient
) -> None:
    await new_key(master, "david")
    folder = site.function("fn")
    (folder / "function.json").write_text("{")
    refused(await master.get(FN), 503)
    assert (await master.delete(f"{FN}/api_keys/david")).json()["name"] == "david"


async def test_api_keys_manage_no_keys(site: Site, master: httpx.AsyncClient) -> None:
    async with site.http(await new_key(master, "david")) as david:
        answer = await david.post(f"{FN}/api_keys", params={"key_name": "x"})
        assert "master key" in refused(answer, 403)
        refused(await david.delete(f"{FN}/api_keys/david"), 403)


async def test_the_client_library_makes_and_deletes_keys(
    site: Site, master: httpx.AsyncClient
) -> None:
    async with site.client(key=site.master()) as client:
        made = await client.create_api_key("david", max_memory=10, max_executions=2)
        assert (made.name, made.max_memory, made.max_time) == ("david", 10, None)
        async with site.client(key=made.key) as david:
            await david.create()
            with pytest.raises(errors.AccessDenied):
                await david.create_api_key("x")
            await client.delete_api_key("david")
            with pytest.raises(errors.AccessDenied):
                await david.create()
        with pytest.raises(errors.ApiKeyUnknown):
            await client.delete_api_key("david")


# ── Whose executions ──────────────────────────────────────────────────────────────────────────


async def test_a_key_sees_only_what_was_created_with_it(
    site: Site, master: httpx.AsyncClient
) -> None:
    keys = [await new_key(master, name) for name in ("david", "eve")]
    async with site.http(keys[0]) as david, site.http(keys[1]) as eve:
        execution = await create(david)
        for method, path in [("GET", ""), ("POST", "/start"), ("POST", "/stop"), ("DELETE", ""),
                             ("POST", "/input/a"), ("GET", "/output/r")]:  # fmt: skip
            refused(await eve.request(method, execution + path), 404)
        own = await create(master)
        refused(await david.get(own), 404)
        assert (await master.get(execution)).status_code == 200
        assert (await david.delete(execution)).status_code == 200


async def test_the_next_key_of_a_name_sees_nothing_of_the_one_before(
    site: Site, master: httpx.AsyncClient
) -> None:
    site.function("fn", "echo up; sleep 600")
    async with site.http(await new_key(master, "david")) as david:
        execution = await create(david)
        assert (await david.post(f"{execution}/start")).status_code == 200
        await master.delete(f"{FN}/api_keys/david")
        refused(await david.get(execution), 401)
    async with site.http(await new_key(master, "david")) as successor:
        refused(await successor.get(execution), 404)
    assert (await master.get(execution)).json()["status"] == "running"
    assert (await master.post(f"{execution}/stop")).json()["stopped"] is True


# ── Limits of a key ───────────────────────────────────────────────────────────────────────────


@pytest.mark.each_engine
async def test_no_more_executions_run_than_a_key_allows(
    site: Site, master: httpx.AsyncClient
) -> None:
    site.function("fn", "sleep 600")
    async with site.http(await new_key(master, "david", max_executions=2)) as david:
        executions = [await create(david) for _ in range(3)]
        for execution in executions[:2]:
            assert (await david.post(f"{execution}/start")).status_code == 200
        message = refused(await david.post(f"{executions[2]}/start"), 429)
        assert "2 executions" in message
        assert (await david.get(executions[2])).json()["status"] == "pending"
        await david.post(f"{executions[0]}/stop")
        assert (await david.post(f"{executions[2]}/start")).status_code == 200
        own = await create(master)
        assert (await master.post(f"{own}/start")).status_code == 200  # not limited


@pytest.mark.each_engine
async def test_memory_and_time_are_limited_per_key(site: Site, master: httpx.AsyncClient) -> None:
    site.function("fn", "case $(cat a.txt) in m) tail /dev/zero;; t) sleep 600;; esac")
    key = await new_key(master, "david", max_memory=32, max_time=0.01)
    async with site.http(key) as david:
        for letter, reason in [("m", "out-of-memory"), ("t", "timeout")]:
            execution = await create(david)
            await david.post(f"{execution}/input/a", content=letter.encode())
            await start(david, execution)
            assert (await david.get(execution)).json()["end_reason"] == reason


async def test_a_key_survives_a_restart_with_its_executions(
    site: Site, master: httpx.AsyncClient
) -> None:
    key = await new_key(master, "david", max_executions=1)
    async with site.http(key) as david:
        execution = await create(david)
    await site.down()
    await site.up()
    async with site.http(key) as david:

        async def there() -> bool:
            return (await david.get(execution)).status_code == 200

        await eventually(there)
