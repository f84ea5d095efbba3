"""Whatever is written is checked against what the Table service accepts, which the emulator does not do."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from azure.data.tables import TableEntity
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import StateConflict
from shared.state.limits import (
    ENTITY_BYTES,
    PROPERTIES,
    STRING_BYTES,
    TRANSACTION_BYTES,
    check_entity,
    check_transaction,
    measure,
)
from shared.state.storage import Operation, Table

KEYS = {"PartitionKey": "p", "RowKey": "r"}
LONGEST = "x" * (STRING_BYTES // 2)


def is_accepted(entity: dict[str, Any]) -> bool:
    try:
        check_entity(entity)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize(
    ("values", "accepted"),
    [
        ({"text": LONGEST}, True),
        ({"text": LONGEST + "x"}, False),
        ({"text": "ä" * (STRING_BYTES // 2)}, True),
        ({"text": "😀" * (STRING_BYTES // 4)}, True),
        ({"text": "😀" * (STRING_BYTES // 4) + "x"}, False),
        ({"bytes": b"x" * STRING_BYTES}, True),
        ({"bytes": b"x" * (STRING_BYTES + 1)}, False),
        ({f"p{number}": number for number in range(PROPERTIES)}, True),
        ({f"p{number}": number for number in range(PROPERTIES + 1)}, False),
        ({f"p{number}": LONGEST for number in range(15)}, True),
        ({f"p{number}": LONGEST for number in range(16)}, False),
        ({"RowKey": "r" * 512}, True),
        ({"RowKey": "r" * 513}, False),
        ({"PartitionKey": "p" * 513}, False),
        *(({"RowKey": f"a{illegal}b"}, False) for illegal in "/\\#?\t\n\x00\x7f\x9f"),
        *(({"RowKey": f"a{legal}b"}, True) for legal in "!'\" %&äé€:-_|~"),
        ({"at": None, "number": 1.5, "flag": True}, True),
    ],
    ids=lambda value: "" if isinstance(value, dict) else str(value),
)
def test_a_record_has_the_services_limits(values: dict[str, Any], accepted: bool) -> None:
    assert is_accepted(KEYS | values) is accepted


def test_the_fault_names_the_property_and_never_its_value() -> None:
    with pytest.raises(ValueError, match=r"^subject has 70000 bytes, the limit is 65536$"):
        check_entity(KEYS | {"subject": "s" * 35_000})
    with pytest.raises(ValueError, match=r"^RowKey holds a character that is illegal in keys$"):
        check_entity({"PartitionKey": "p", "RowKey": "anna/weiss"})


def fill(bytes_each: int) -> list[dict[str, Any]]:
    """Twenty records of a transaction, each with so many characters, a byte each as JSON."""
    parts = {f"p{number}": "x" * (bytes_each // 8) for number in range(8)}
    return [{"PartitionKey": "p", "RowKey": str(row)} | parts for row in range(20)]


def test_a_transaction_has_a_limit_as_it_is_sent() -> None:
    check_transaction(fill(TRANSACTION_BYTES // 20 - 4096))
    with pytest.raises(ValueError, match="a transaction has"):
        check_transaction(fill(TRANSACTION_BYTES // 20))


def test_characters_that_json_escapes_count_as_they_are_sent() -> None:
    small = fill(TRANSACTION_BYTES // 60)
    check_transaction(small)
    escaped = [{key: value.replace("x", "ä") for key, value in entity.items()} for entity in small]
    with pytest.raises(ValueError, match="a transaction has"):
        check_transaction(escaped)


def test_a_hundred_steps_are_the_most() -> None:
    steps = [{"PartitionKey": "p", "RowKey": str(row)} for row in range(101)]
    check_transaction(steps[:100])
    with pytest.raises(ValueError, match="101 operations"):
        check_transaction(steps)


TEXTS = st.one_of(
    st.text(max_size=20), st.integers(0, 40_000).map("x".__mul__), st.integers(0, 40_000).map("ä😀".__mul__)
)


@given(st.lists(TEXTS, max_size=40))
def test_what_is_accepted_fits_by_the_services_own_rule(texts: list[str]) -> None:
    values = {f"p{number:02}": text for number, text in enumerate(texts)}
    widths = [len(text.encode("utf-16-le", "surrogatepass")) for text in texts]
    total = 4 + 4 + sum(8 + 6 + 4 + width for width in widths)
    assert measure(KEYS | values) == total
    assert is_accepted(KEYS | values) == (max(widths, default=0) <= 65536 and total <= ENTITY_BYTES)


@given(st.lists(st.lists(TEXTS, max_size=12), max_size=100))
def test_an_accepted_transaction_is_small_enough_as_json(records: list[list[str]]) -> None:
    entities = [
        {"PartitionKey": "p", "RowKey": str(row)} | {f"p{number}": text for number, text in enumerate(texts)}
        for row, texts in enumerate(records)
    ]
    try:
        check_transaction(entities)
    except ValueError:
        return
    assert sum(len(json.dumps(entity)) for entity in entities) <= TRANSACTION_BYTES


class Untouched:
    """A table client to which nothing may come."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(name)


@pytest.mark.parametrize("operation", ["insert", "replace", "put", "merge", "transact"])
async def test_no_way_to_write_goes_past_the_check(operation: str) -> None:
    table = Table(Untouched())  # type: ignore[arg-type]
    entity = TableEntity(KEYS | {"text": LONGEST + "x"})
    steps: list[Operation] = [("upsert", entity)]
    ways: dict[str, Callable[[], Awaitable[object]]] = {
        "insert": lambda: table.insert(entity),
        "replace": lambda: table.replace(entity, "etag"),
        "put": lambda: table.put(entity),
        "merge": lambda: table.merge(entity),
        "transact": lambda: table.transact(steps),
    }
    with pytest.raises(ValueError, match="text has"):
        await ways[operation]()
    assert not issubclass(StateConflict, ValueError), "it is never taken for somebody else's change"
