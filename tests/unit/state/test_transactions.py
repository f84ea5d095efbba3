"""Transactions say what the SDK would say, and their answers are understood."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError
from azure.core.rest import HttpRequest
from azure.data.tables import TableTransactionError, UpdateMode
from azure.data.tables.aio import TableServiceClient
from hypothesis import given
from hypothesis import strategies as st

from shared.state.service import LeanTables
from shared.state.transactions import Step, read_answers, write_transaction

URL = "http://127.0.0.1:1/devstoreaccount1"
CONNECTION = f"AccountName=devstoreaccount1;AccountKey=YQ==;TableEndpoint={URL};"
ETAG = "W/\"datetime'2026-11-22T23%3A29%3A39.9337469Z'\""

keys = st.text(st.characters(codec="utf-8", exclude_characters="/\\#?", exclude_categories=["C"]), max_size=9)
values = (
    st.text(st.characters(codec="utf-8"))
    | st.booleans()
    | st.none()
    | st.integers(-(2**31), 2**31 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
)
records = st.builds(
    lambda row, properties: {"PartitionKey": "p'ü", "RowKey": row} | properties,
    keys,
    st.dictionaries(st.from_regex(r"[a-z]{1,5}", fullmatch=True), values, max_size=4),
)
conditions = st.sampled_from([{}, {"etag": ETAG, "match_condition": MatchConditions.IfNotModified}])
modes = st.sampled_from([{}, {"mode": UpdateMode.MERGE}, {"mode": UpdateMode.REPLACE}])
steps = (
    st.tuples(st.just("create"), records)
    | st.tuples(st.just("upsert"), records, modes)
    | st.tuples(st.just("delete"), records, conditions)
    | st.tuples(st.just("update"), records, st.builds(lambda a, b: a | b, modes, conditions))
)


class Caught(Exception):
    """Carries what would have been sent."""

    def __init__(self, body: bytes) -> None:
        super().__init__()
        self.body = body


class Wire:
    """The end of the SDK's pipeline: raises what it is to send."""

    async def send(self, request: HttpRequest, **options: object) -> None:
        raise Caught(request.content)


async def write_as_sdk(operations: list[Step]) -> bytes:
    service = TableServiceClient.from_connection_string(CONNECTION, transport=Wire())
    try:
        await service.get_table_client("outbox").submit_transaction(operations)
    except Caught as caught:
        return caught.body
    raise AssertionError("nothing was sent")


def read_steps(body: bytes) -> list[tuple[bytes, bytes, dict[str, Any]]]:
    """What a body asks for: the request lines, the conditions, the properties with types that matter."""
    found = []
    for part in re.split(rb"--changeset_[-0-9a-z]+(?:--)?\r\n", body)[1:-1]:
        described, head, content = part.split(b"\r\n\r\n", 2)
        assert described.startswith(b"Content-Type: application/http\r\nContent-Transfer-Encoding: binary")
        line, *headers = head.split(b"\r\n")
        named = dict(header.split(b": ", 1) for header in headers)
        text = content.removesuffix(b"\r\n")
        if text.strip():
            assert named[b"Content-Type"] == b"application/json"
            assert int(named[b"Content-Length"]) == len(text)
        properties = json.loads(text) if text.strip() else {}
        texts = {name: value for name, value in properties.items() if value != "Edm.String"}
        found.append((line, named.get(b"If-Match", b""), texts))
    return found


@given(st.lists(steps, min_size=1, max_size=5))
async def test_a_transaction_asks_for_what_the_sdk_asks_for(operations: list[Step]) -> None:
    written = read_steps(write_transaction(f"{URL}/outbox", operations, "1"))
    assert written == read_steps(await write_as_sdk(operations))
    assert len(written) == len(operations)


def test_the_parts_are_framed_as_the_service_reads_them() -> None:
    body = write_transaction("http://t/outbox", [("delete", {"PartitionKey": "a", "RowKey": "b"})], "N")
    assert body == (
        b"--batch_N\r\nContent-Type: multipart/mixed; boundary=changeset_N\r\n\r\n"
        b"--changeset_N\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n"
        b"Content-ID: 0\r\n\r\n"
        b"DELETE http://t/outbox(PartitionKey='a',RowKey='b') HTTP/1.1\r\nDataServiceVersion: 3.0\r\n"
        b"Accept: application/json;odata=minimalmetadata\r\nIf-Match: *\r\n\r\n\r\n"
        b"--changeset_N--\r\n\r\n--batch_N--\r\n"
    )


KEYS = {"PartitionKey": "a", "RowKey": "b"}
UNCHANGED = {"etag": ETAG, "match_condition": MatchConditions.IfNotModified}


@pytest.mark.parametrize(
    "operations",
    [
        [("replace", KEYS)],
        [("delete", KEYS), ("delete", KEYS | {"PartitionKey": "c"})],
        [("update", KEYS, {"etag": ETAG})],
        [("update", KEYS, {"match_condition": MatchConditions.IfNotModified})],
        [("upsert", KEYS, UNCHANGED)],
        [("create", KEYS, UNCHANGED)],
    ],
)
def test_what_would_not_do_what_it_says_is_refused(operations: list[Step]) -> None:
    with pytest.raises(ValueError, match=r"operation|partition|etag"):
        write_transaction(URL, operations, "1")


@pytest.mark.parametrize("value", [2**31, -(2**31) - 1, b"bytes", ["list"]])
def test_a_property_of_another_kind_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="size"):
        write_transaction(URL, [("create", KEYS | {"size": value})], "1")


def answer(*parts: bytes) -> bytes:
    head = b"Content-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n"
    framed = b"".join(b"--changesetresponse_1\r\n" + head + part + b"\r\n" for part in parts)
    return (
        b"--batchresponse_1\r\nContent-Type: multipart/mixed; boundary=changesetresponse_1\r\n\r\n"
        + framed
        + b"--changesetresponse_1--\r\n--batchresponse_1--\r\n"
    )


CREATED = (
    b'HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nETag: W/"1"\r\n\r\n'
    b'{"t":"HTTP/1.1 404 Not Found\\r\\nETag: W/\\"9\\"\\r\\n\\r\\n"}'
)
CHANGED = b'HTTP/1.1 204 No Content\r\nContent-ID: 1\r\nDataServiceVersion: 1.0;\r\netag:W/"2" \r\n\r\n'
DELETED = b"HTTP/1.1 204 No Content\r\nDataServiceVersion: 1.0;\r\n\r\n"
REFUSED = (
    b"HTTP/1.1 412 Precondition Failed\r\nContent-Type: application/json\r\n\r\n"
    b'{"odata.error":{"code":"UpdateConditionNotSatisfied","message":{"lang":"en-US","value":"1:No."}}}'
)


def test_each_step_has_its_etag_and_a_deletion_has_none() -> None:
    assert read_answers(answer(CREATED, DELETED, CHANGED)) == [{"etag": 'W/"1"'}, {}, {"etag": 'W/"2"'}]


def test_a_refused_step_refuses_all_with_its_status_and_reason() -> None:
    with pytest.raises(TableTransactionError, match=r"^1:No\.\nErrorCode:UpdateCond") as refusal:
        read_answers(answer(REFUSED))
    assert (refusal.value.status_code, refusal.value.index) == (412, 1)


@pytest.mark.parametrize("said", [b"", b"<html>{</html>", b"{}", b'{"odata.error": null}', b"{oh no}"])
def test_a_refusal_without_a_reason_tells_the_status(said: bytes) -> None:
    with pytest.raises(TableTransactionError, match="503") as refusal:
        read_answers(answer(b"HTTP/1.1 503 Busy\r\nServer: x\r\n\r\n" + said))
    assert refusal.value.status_code == 503


class Answering:
    """A transport with one answer for everything."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status_code, self.body = status, body
        self.headers = {"Content-Type": "multipart/mixed; boundary=batchresponse_1"}
        self.reason = "reason"
        self.content_type = "multipart/mixed"

    async def send(self, request: HttpRequest, **options: object) -> Answering:
        self.request = request
        return self

    async def read(self) -> bytes:
        return self.body

    def text(self) -> str:
        return self.body.decode()


async def submit(status: int, body: bytes) -> list[dict[str, str]]:
    service = LeanTables.from_connection_string(CONNECTION, transport=Answering(status, body))
    assert isinstance(service, LeanTables)
    return await service.get_table_client("outbox").submit_transaction([("delete", KEYS)], retry_total=0)


async def test_a_client_gives_the_answers_of_the_service() -> None:
    assert await submit(202, answer(CHANGED)) == [{"etag": 'W/"2"'}]


async def test_a_refused_whole_is_an_error_with_its_status() -> None:
    with pytest.raises(HttpResponseError) as refusal:
        await submit(404, b'{"odata.error":{"code":"TableNotFound"}}')
    assert refusal.value.status_code == 404


@pytest.mark.parametrize("body", [b"", answer(), answer(DELETED, DELETED)])
async def test_an_answer_that_does_not_fit_is_no_success(body: bytes) -> None:
    with pytest.raises(HttpResponseError, match="steps"):
        await submit(202, body)
