"""The tables in docs/scaling.md are those of the formula, and the formula does what the document says."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import pytest

from tests.bench.cost import (
    DAY,
    DAYS,
    GROUPS,
    OPERATIONS,
    USERS,
    Group,
    Prices,
    find_cost,
    write_costs,
    write_operations,
)
from tests.bench.operations import replay

DOCUMENT = (Path(__file__).parents[2] / "docs" / "scaling.md").read_text()
FREE = Prices(table=0, queue=0, executions=0, gb_seconds=0, gb_of_logs=0)


def test_the_document_has_the_tables_that_the_formula_gives() -> None:
    assert "\n".join(write_operations()) in DOCUMENT
    assert "\n".join(write_costs(Prices())) in DOCUMENT


@pytest.mark.parametrize(
    ("amount", "unit"),
    [
        ("table", 10_000),
        ("queue", 10_000),
        ("executions", 1_000_000),
        ("gb_seconds", 1),
        ("gb_of_logs", 1),
        ("free_executions", 1),
        ("free_gb_seconds", 1),
        ("free_gb_of_logs", 1),
    ],
)
def test_the_document_names_every_price_with_its_date_and_region(amount: str, unit: int) -> None:
    prices = Prices()
    number = getattr(prices, amount) * unit
    text = f"{number:,}" if amount.startswith("free") else f"{number:.6f}".rstrip("0")
    row = next(line for line in DOCUMENT.splitlines() if line.startswith("| ") and f"`{amount}`" in line)
    assert text.rstrip(".") in row.replace("$", "")
    assert f"{prices.region}, {prices.date}" in DOCUMENT


def test_every_operation_costs_what_its_kind_costs() -> None:
    dear = replace(FREE, table=1.0)
    tables = [kind for kind in OPERATIONS if kind != "queue"]
    expected = DAYS * sum(OPERATIONS[kind][0] * 100 + OPERATIONS[kind][1] for kind in tables)
    assert find_cost(100, dear).total == pytest.approx(expected)
    assert find_cost(100, dear).tables == pytest.approx(expected)
    assert find_cost(100, replace(FREE, queue=1.0)).queues > DAYS * (
        OPERATIONS["queue"][0] * 100 + OPERATIONS["queue"][1]
    )


def test_a_day_takes_what_the_table_says() -> None:
    # In a process of its own: in one the app's functions can be asked for once.
    with ProcessPoolExecutor(1, get_context("spawn")) as processes:
        day = processes.submit(replay, 10).result()
    for kind, (user, installation) in OPERATIONS.items():
        # Few users share few of the transactions and of the pages.
        assert day.of_kind(kind) == pytest.approx(10 * user + installation, rel=0.15), kind


def test_what_is_free_is_free_and_only_that() -> None:
    few = replace(FREE, executions=1.0, free_executions=10**9)
    assert find_cost(1_000, few).total == 0
    done = DAYS * sum(group.executions(1_000) for group in GROUPS.values())
    assert find_cost(1_000, replace(few, free_executions=round(done) - 5)).executions == pytest.approx(
        5, abs=1
    )


def test_an_instance_is_paid_for_a_second_an_execution_until_they_overlap() -> None:
    seldom = Group(0, 100, 0.05, 16)
    assert seldom.active(1) == pytest.approx(100, rel=0.01)
    often = Group(0, 10 * DAY, 0.05, 16)
    assert often.active(1) == pytest.approx(DAY, rel=0.01)


def test_more_instances_are_paid_where_one_does_not_suffice() -> None:
    busy = Group(0, 10 * DAY, 2.0, 4)
    assert busy.active(1) == pytest.approx(5 * DAY)


def test_a_user_costs_less_the_more_there_are() -> None:
    each = [find_cost(users, Prices()).total / users for users in USERS]
    assert each == sorted(each, reverse=True)
