"""Queries say what the SDK would say, and their answers are read as the SDK reads them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from azure.core.async_paging import AsyncItemPaged
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.data.tables import TableEntity
from azure.data.tables.aio import TableServiceClient
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.state.queries import read_records
from shared.state.service import LeanTables

TYPE = "@odata.type"
CONTINUATIONS = {f"x-ms-continuation-Next{name}": f"1!8!{name}+/=" for name in ("PartitionKey", "RowKey")}

texts = st.text(st.characters(codec="utf-8"), max_size=9)
names = st.from_regex(r"[a-z]{1,4}", fullmatch=True)
plain = texts | st.booleans() | st.none() | st.integers(-(2**31), 2**31 - 1) | st.floats(allow_nan=False)
typed = st.floats(allow_nan=False).map(lambda number: (str(number), "Edm.Double")) | texts.map(
    lambda text: (text, "Edm.String")
)


@st.composite
def wire_records(draw: st.DrawFn) -> dict[str, Any]:
    """A record as the service writes it."""
    record = {
        "odata.etag": f"W/\"datetime'{draw(st.integers(1, 9))}'\"",
        "PartitionKey": draw(texts),
        "RowKey": draw(texts),
        "Timestamp": "2026-11-22T23:29:39.9337469Z",
        f"Timestamp{TYPE}": "Edm.DateTime",
    } | draw(st.dictionaries(names, plain, max_size=4))
    for name, (value, kind) in draw(st.dictionaries(names, typed, max_size=2)).items():
        both = [(name, value), (f"{name}{TYPE}", kind)]
        record |= dict(draw(st.permutations(both)))
    return record


class Service:
    """A Table service that has one answer, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[dict[str, str], dict[str, str]]] = []
        self.status = 200
        self.body = b'{"value": []}'
        self.headers: dict[str, str] = {}

    async def answer(self, request: web.Request) -> web.Response:
        """Answer anything."""
        headers = {name: request.headers[name] for name in ("Accept", "x-ms-version", "DataServiceVersion")}
        # The rest of it depends on the second.
        signed = request.headers["Authorization"].partition(":")[0]
        self.asked.append(
            (dict(request.query), headers | {"by": signed, "address": _sorted(request.raw_path)})
        )
        return web.Response(
            status=self.status, body=self.body, headers=self.headers, content_type="application/json"
        )


def _sorted(address: str) -> str:
    path, _, parameters = address.partition("?")
    return f"{path}?{'&'.join(sorted(parameters.split('&')))}"


@asynccontextmanager
async def run(service: Service) -> AsyncIterator[str]:
    """Its connection string."""
    app = web.Application()
    app.router.add_route("*", "/{any:.*}", service.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    address, port = runner.addresses[0][:2]
    try:
        yield f"AccountName=account;AccountKey=YQ==;TableEndpoint=http://{address}:{port}/account;"
    finally:
        await runner.cleanup()


async def read_page(
    service: Service, kind: type[TableServiceClient], matches: str, **options: Any
) -> tuple[list[TableEntity], Any]:
    """One page, by this client, and where the next one begins."""
    after = options.pop("after", None)
    async with (
        run(service) as connection,
        kind.from_connection_string(connection, retry_total=0) as tables,
    ):
        pages = tables.get_table_client("users").query_entities(matches, **options).by_page(after)
        page = [entity async for entity in await anext(aiter(pages))]
        return page, getattr(pages, "continuation_token", None)


@settings(max_examples=30, deadline=None)
@given(st.lists(wire_records(), max_size=4))
def test_records_are_read_as_the_sdk_reads_them(wire: Sequence[dict[str, Any]]) -> None:
    service = Service()
    service.body = json.dumps({"odata.metadata": "x", "value": wire}).encode()

    async def read_both() -> tuple[list[TableEntity], list[TableEntity]]:
        ours, _ = await read_page(service, LeanTables, "")
        theirs, _ = await read_page(service, TableServiceClient, "")
        return ours, theirs

    ours, theirs = asyncio.run(read_both())
    assert list(map(dict, ours)) == list(map(dict, theirs))
    kinds = [{name: type(value) for name, value in entity.items()} for entity in ours]
    assert kinds == [{name: type(value) for name, value in entity.items()} for entity in theirs]
    assert [entity.metadata["etag"] for entity in ours] == [entity.metadata["etag"] for entity in theirs]


@settings(max_examples=30, deadline=None)
@given(
    st.builds("{} eq '{}'".format, names, texts),
    st.none() | st.lists(names, min_size=1, max_size=3),
    st.none() | st.integers(1, 1000),
    st.sampled_from([{}, {"PartitionKey": "1!8!a+/="}, {"PartitionKey": "1!4!ü", "RowKey": "&="}]),
)
def test_the_service_is_asked_as_the_sdk_asks(
    matches: str, select: list[str] | None, page: int | None, after: dict[str, str]
) -> None:
    service = Service()
    options: dict[str, Any] = {"select": select, "results_per_page": page}

    async def ask_both() -> None:
        own_after = {f"Next{name}": value for name, value in after.items()}
        await read_page(service, LeanTables, matches, after=own_after, **options)
        await read_page(service, TableServiceClient, matches, after=after, **options)

    asyncio.run(ask_both())
    ours, theirs = service.asked
    assert ours == theirs


@asynccontextmanager
async def query(service: Service) -> AsyncIterator[AsyncItemPaged[TableEntity]]:
    """What it has."""
    async with (
        run(service) as connection,
        LeanTables.from_connection_string(connection, retry_total=0) as tables,
    ):
        yield tables.get_table_client("users").query_entities("x")


async def test_the_next_page_begins_where_the_service_said() -> None:
    service = Service()
    service.headers = CONTINUATIONS
    async with query(service) as found:
        pages = found.by_page()
        await anext(pages)
        service.headers = {}
        assert len([page async for page in pages]) == 1
    (first, _), (second, _) = service.asked
    assert second == first | {
        name.removeprefix("x-ms-continuation-"): value for name, value in CONTINUATIONS.items()
    }


async def test_a_page_without_records_is_not_the_end() -> None:
    service = Service()
    service.headers = CONTINUATIONS
    async with query(service) as found:
        reading = asyncio.create_task(anext(found))
        while len(service.asked) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0)
        service.headers = {}
        service.body = b'{"value": [{"PartitionKey": "p", "RowKey": "r"}]}'
        assert dict(await reading) == {"PartitionKey": "p", "RowKey": "r"}
        with pytest.raises(StopAsyncIteration):
            await anext(found)


@pytest.mark.parametrize(
    ("status", "kind"), [(404, ResourceNotFoundError), (400, HttpResponseError), (503, HttpResponseError)]
)
async def test_a_refusal_is_an_error_with_its_status_and_code(status: int, kind: type[Exception]) -> None:
    service = Service()
    service.status = status
    service.body = b'{"odata.error": {"code": "TableNotFound", "message": {"lang": "en", "value": "none"}}}'
    with pytest.raises(HttpResponseError) as refusal:
        await read_page(service, LeanTables, "x")
    assert type(refusal.value) is kind
    assert refusal.value.status_code == status
    assert "TableNotFound" in str(refusal.value)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"value": 1}', b'{"value": [1]}', b"\xff"])
async def test_an_answer_that_is_no_page_is_an_error(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_records(body)
    service = Service()
    service.body = body
    with pytest.raises(HttpResponseError, match="something else"):
        await read_page(service, LeanTables, "x")


def test_a_large_number_is_a_number() -> None:
    (record,) = read_records(b'{"value": [{"a": "3000000000", "a@odata.type": "Edm.Int64"}]}')
    assert record == {"a": 3_000_000_000}
