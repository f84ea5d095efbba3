"""What is loaded into the storage emulator makes it faster and changes no answer."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError
from azure.data.tables import TableClient, TableServiceClient, TableTransactionError, UpdateMode

from dev.azurite import Azurite

pytestmark = pytest.mark.integration

PARTITIONS = ("a", "b", "0", "ä", "o'b")
ROWS = ("1", "2", "10", "!x", "~", "é", "q'r", "Z")
VALUES = ("x", "", 5, True, 2.5, "ü")
MODES = (UpdateMode.MERGE, UpdateMode.REPLACE)
FILTERS = (
    "PartitionKey eq '{partition}'",
    "PartitionKey eq '{partition}' and RowKey ge '{row}'",
    "PartitionKey eq '{partition}' or RowKey eq '2'",
    "PartitionKey eq '{partition}' and RowKey eq '1' or c eq 'x'",
    "PartitionKey eq 'a' and (c eq 'x' or d eq 5)",
    "PartitionKey eq 'a' and not (c eq 'x')",
    "PartitionKey ge 'a' and PartitionKey le 'b'",
    "PartitionKey ne 'a'",
    "RowKey lt '5'",
    "c eq 'x'",
)

type Call = Callable[[TableClient], Any]


@pytest.fixture(scope="module")
def emulators(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TableServiceClient, ...]]:
    """Two of them: with what is loaded, and without."""
    nothing = tmp_path_factory.mktemp("preload") / "nothing.js"
    nothing.touch()
    with (
        Azurite() as with_it,
        Azurite(preload=nothing) as without,
        TableServiceClient.from_connection_string(with_it.connection_string) as fast,
        TableServiceClient.from_connection_string(without.connection_string) as slow,
    ):
        yield fast, slow


def answer(call: Call, table: TableClient) -> Any:
    """What it gives, or how it is refused."""
    try:
        return call(table)
    except TableTransactionError as error:
        return error.status_code, getattr(error, "error_code", ""), error.index
    except HttpResponseError as error:
        return error.status_code, getattr(error, "error_code", "")


def draw(chance: random.Random) -> Call:
    """Some call."""

    def record(**keys: str) -> dict[str, Any]:
        some = {name: chance.choice(VALUES) for name in chance.sample("cdef", chance.randint(0, 3))}
        return {"PartitionKey": chance.choice(PARTITIONS), "RowKey": chance.choice(ROWS)} | some | keys

    entity, mode, page = record(), chance.choice(MODES), chance.choice((1, 2, 3, 1000))
    partition, row = entity["PartitionKey"], entity["RowKey"]
    steps: list[Any] = []
    for key in chance.sample(ROWS, chance.randint(1, 4)):
        kind = chance.choice(("create", "upsert", "update", "delete"))
        step = (kind, record(PartitionKey=partition, RowKey=key))
        steps.append((*step, {"mode": mode}) if kind == "update" else step)
    quoted = {"partition": partition.replace("'", "''"), "row": row.replace("'", "''")}
    condition = chance.choice(FILTERS).format(**quoted)
    stale: dict[str, Any] = {"etag": 'W/"stale"', "match_condition": MatchConditions.IfNotModified}
    calls: list[Call] = [
        lambda table: bool(table.upsert_entity(entity, mode=mode)),
        lambda table: bool(table.create_entity(entity)),
        lambda table: bool(table.update_entity(entity, mode=mode)),
        lambda table: bool(table.update_entity(entity, mode=mode, **stale)),
        lambda table: table.delete_entity(partition, row),
        lambda table: len(table.submit_transaction(steps)),
        lambda table: dict(table.get_entity(partition, row)),
        lambda table: [
            list(map(dict, some)) for some in table.query_entities(condition, results_per_page=page).by_page()
        ],
    ]
    return chance.choice(calls)


@pytest.mark.parametrize("series", range(4))
def test_whatever_is_asked_the_answers_are_the_same(
    emulators: tuple[TableServiceClient, ...], series: int
) -> None:
    chance = random.Random(series)
    tables = [emulator.create_table(f"series{series}") for emulator in emulators]
    for _ in range(150):
        call = draw(chance)
        fast, slow = (answer(call, table) for table in tables)
        assert fast == slow
    everything: Call = lambda table: list(map(dict, table.list_entities()))  # noqa: E731
    fast, slow = (answer(everything, table) for table in tables)
    assert fast == slow
    assert len(fast) > 10
