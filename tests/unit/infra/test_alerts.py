"""Alerts and workbook name what the code tells, and each alert has a runbook."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from functions.telemetry import GAUGES, PREFIX
from shared.metrics import COUNTERS, DURATIONS
from tests.unit.infra.bicep import INFRA, ROOT

ALERTS: list[dict[str, Any]] = json.loads((INFRA / "alerts.json").read_text())
WORKBOOK: dict[str, Any] = json.loads((INFRA / "workbook.json").read_text())
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
RUNBOOKS: dict[str, str] = {
    section.split("\n", 1)[0]: section
    for section in re.split(r"^### ", OPERATIONS.split("\n## Runbooks\n")[1].split("\n## ")[0], flags=re.M)[
        1:
    ]
}
SOURCES = "".join(
    path.read_text() for folder in ("functions", "shared") for path in sorted((ROOT / folder).rglob("*.py"))
)

METRICS = {f"{PREFIX}{name}" for name in (*COUNTERS, *(f"{name}_seconds" for name in DURATIONS), *GAUGES)}
TABLES = {"traces", "customMetrics", "requests", "dependencies", "exceptions", "Usage"}
"""Tables of Application Insights, and one of Log Analytics."""

DIMENSIONS = {"code", "user"}
"""What queries ask of log lines."""


def queries_of(items: list[dict[str, Any]]) -> Iterator[str]:
    for item in items:
        if item["type"] == 3:
            yield item["content"]["query"]


def queries_of_the_runbooks() -> Iterator[str]:
    begins = rf"(?:union |{'|'.join(sorted(TABLES))})"
    for inline, block in re.findall(rf"`({begins}[^`]*)`|^    ({begins}.*)$", OPERATIONS, re.MULTILINE):
        if "|" in inline + block:
            yield (inline or block).replace("\n", " ")


QUERIES = [
    *(alert["query"] for alert in ALERTS),
    *queries_of(WORKBOOK["items"]),
    *queries_of_the_runbooks(),
]


def codes_of_status() -> set[str]:
    source = (ROOT / "shared" / "sync" / "status.py").read_text()
    codes = set(re.findall(r'StatusWarning\(\s*"(\w+)"', source))
    codes |= set(re.findall(r'code = "(\w+)" if .* else "(\w+)"', source)[0])
    return codes | {"exchange_unavailable", "pbx_unavailable"}


def test_there_are_queries_to_look_at() -> None:
    assert len(ALERTS) >= 8
    assert len(list(queries_of(WORKBOOK["items"]))) >= 8
    assert len(list(queries_of_the_runbooks())) >= 6


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_names_what_there_is(query: str) -> None:
    tables = re.match(r"(?:union )?([\w, ]+?)\s*\|", query)
    assert tables is not None
    assert {table.strip() for table in tables[1].split(",")} <= TABLES
    assert set(re.findall(r"'(calendar\.\w+)'", query)) <= METRICS
    for message in re.findall(r"message == '([^']+)'", query):
        assert re.search(rf"_log\.\w+\(\s*\"{message}\"", SOURCES), message
    for names in re.findall(r"customDimensions\.code\) in \(([^)]+)\)", query):
        assert set(re.findall(r"'(\w+)'", names)) <= codes_of_status()
    for name in re.findall(r"customDimensions\.(\w+)", query):
        assert name in DIMENSIONS
        assert f'"{name}":' in SOURCES
    if "where name ==" in query or "where name in" in query:
        spans = set(re.findall(r"name (?:==|in) \(?'([a-z]+)'", query))
        assert spans <= set(DURATIONS)


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["name"])
def test_an_alert_looks_at_a_metric_or_at_a_log_line(alert: dict[str, Any]) -> None:
    assert re.search(r"'calendar\.\w+'|message == '", alert["query"])


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["name"])
def test_an_alert_has_a_runbook_that_says_what_it_means_and_what_to_do(alert: dict[str, Any]) -> None:
    runbook = RUNBOOKS[alert["name"]]
    for part in ("Means", "Look at", "Do", "By itself"):
        assert re.search(rf"^\*\*{part}\.\*\*", runbook, re.MULTILINE), part


def test_there_is_no_runbook_without_an_alert() -> None:
    assert list(RUNBOOKS) == [alert["name"] for alert in ALERTS]


def test_links_between_runbooks_lead_to_one() -> None:
    assert set(re.findall(r"\]\(#([\w-]+)\)", OPERATIONS)) <= set(RUNBOOKS)


def test_an_alert_looks_back_at_least_as_far_as_it_looks_often() -> None:
    minutes = {"PT5M": 5, "PT15M": 15, "PT30M": 30, "PT1H": 60}
    for alert in ALERTS:
        assert minutes[alert["every"]] <= minutes[alert["window"]]
        assert 0 <= alert["severity"] <= 4


def test_the_threshold_of_failing_users_is_the_parameter() -> None:
    assert sum("FAILING_USERS" in alert["query"] for alert in ALERTS) == 1
    assert (
        "replace(each.query, 'FAILING_USERS', string(failingUsers))" in (INFRA / "alerts.bicep").read_text()
    )


def test_the_workbook_is_one() -> None:
    assert WORKBOOK["version"] == "Notebook/1.0"
    parameters = WORKBOOK["items"][1]["content"]["parameters"]
    assert {name for query in QUERIES for name in re.findall(r"\{(\w+)(?::\w+)?\}", query)} == {
        parameter["name"] for parameter in parameters
    }
