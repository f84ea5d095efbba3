"""What is told to OpenTelemetry: a trace from the notification to the PBX, numbers, and no content."""

from __future__ import annotations

import ast
import asyncio
import logging
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from azure.monitor.opentelemetry import _constants as distro
from opentelemetry import context, metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from functions import telemetry
from shared.errors import MailboxError
from shared.metrics import COUNTERS, DURATIONS, Metrics, Tally
from shared.pseudonym import pseudonym
from shared.state.queues import Work, WorkQueues
from shared.state.storage import Storage
from shared.sync.interfaces import BudgetUse, Census, QueueLength
from shared.sync.status import Status, StatusWarning
from tests.tracing import keep_spans

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
ANNA = "00112233445566778899aabbccddeeff"


class Sent:
    """The storage, as far as messages are sent."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, str]] = []

    async def send(self, queue: str, text: str, *, delay: timedelta = timedelta()) -> None:
        self.messages.append((queue, text))

    def work(self, queue: str) -> Work:
        """The message that was sent last to a queue."""
        return next(Work.parse(text) for name, text in reversed(self.messages) if name == queue)


@pytest.fixture(scope="session")
def exporter() -> InMemorySpanExporter:
    return keep_spans()


@pytest.fixture(scope="session")
def reader() -> InMemoryMetricReader:
    reader = InMemoryMetricReader()
    metrics.set_meter_provider(MeterProvider([reader]))
    return reader


@pytest.fixture
def spans(
    exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], dict[str, ReadableSpan]]]:
    """The spans that ended so far, by name, with telemetry on."""
    monkeypatch.setattr(telemetry, "_on", True)
    exporter.clear()
    yield lambda: {span.name: span for span in exporter.get_finished_spans()}
    exporter.clear()


@pytest.fixture
def sent() -> Sent:
    return Sent()


@pytest.fixture
def queues(sent: Sent) -> WorkQueues:
    return WorkQueues(cast("Storage", sent), telemetry.traceparent)


Spans = Callable[[], dict[str, ReadableSpan]]


def context_of(span: ReadableSpan) -> trace.SpanContext:
    found = span.get_span_context()
    assert found is not None
    return found


async def follow(sent: Sent, queues: WorkQueues, reason: str) -> None:
    """A notification, the reading it asks for, and the publishing that follows, each by its own worker."""

    async def notify() -> None:
        with telemetry.span("notification"):
            await queues.read([ANNA], reason)

    async def read() -> None:
        work = sent.work("sync")
        with trace.get_tracer("host").start_as_current_span("host"), telemetry.span("sync", work):
            await queues.publish(work.reason, work.users)

    async def publish() -> None:
        with telemetry.span("publish", sent.work("publish")):
            pass

    for step in (notify, read, publish):
        await asyncio.create_task(step())


async def test_a_notification_is_in_the_trace_of_the_publishing(
    sent: Sent, queues: WorkQueues, spans: Spans
) -> None:
    await follow(sent, queues, "changed")
    found = spans()
    notification, sync, publish = (found[name] for name in ("notification", "sync", "publish"))
    assert context_of(publish).trace_id == context_of(sync).trace_id == context_of(notification).trace_id
    assert sync.parent is not None
    assert sync.parent.span_id == context_of(notification).span_id
    assert publish.parent is not None
    assert publish.parent.span_id == context_of(sync).span_id


async def test_what_the_host_began_for_a_message_is_linked(
    sent: Sent, queues: WorkQueues, spans: Spans
) -> None:
    await follow(sent, queues, "changed")
    found = spans()
    assert [link.context for link in found["sync"].links] == [context_of(found["host"])]
    assert context_of(found["host"]).trace_id != context_of(found["sync"]).trace_id


async def test_a_message_of_a_round_over_everybody_is_a_trace_of_its_own_with_a_link(
    sent: Sent, queues: WorkQueues, spans: Spans
) -> None:
    await follow(sent, queues, "midnight")
    found = spans()
    assert context_of(found["sync"]).trace_id == context_of(found["host"]).trace_id
    assert [link.context.span_id for link in found["sync"].links] == [
        context_of(found["notification"]).span_id
    ]


async def test_what_the_platform_gave_a_notification_is_its_parent(spans: Spans) -> None:
    carrier = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    token = context.attach(TraceContextTextMapPropagator().extract(carrier))
    try:
        with telemetry.span("notification"):
            pass
    finally:
        context.detach(token)
    parent = spans()["notification"].parent
    assert parent is not None
    assert f"{parent.span_id:016x}" == "b7ad6b7169203331"


@pytest.mark.parametrize("text", ["nonsense", "00-00000000000000000000000000000000-0000000000000000-01"])
async def test_a_message_with_a_broken_trace_begins_its_own(text: str, spans: Spans) -> None:
    with telemetry.span("sync", Work((ANNA,), "changed", text)):
        pass
    assert spans()["sync"].parent is None


def test_a_message_from_before_traces_is_read() -> None:
    assert Work.parse('{"users": ["a"], "reason": "changed"}') == Work(("a",), "changed")


def test_a_message_carries_its_trace_and_none_where_there_is_none() -> None:
    work = Work(("a",), "changed", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    assert Work.parse(work.text()) == work
    assert "traceparent" not in Work(("a",), "changed").text()


async def test_without_telemetry_messages_carry_no_trace(sent: Sent, queues: WorkQueues) -> None:
    await queues.read([ANNA], "changed")
    assert sent.messages == [("sync", Work((ANNA,), "changed").text())]


def test_a_failing_execution_shows_the_type_of_its_error_and_not_its_text(spans: Spans) -> None:
    with pytest.raises(MailboxError), telemetry.span("sync", Work((ANNA,), "changed")):
        raise MailboxError("ErrorAccessDenied", "what only the administrator may read")
    failed = spans()["sync"]
    assert failed.status.status_code is trace.StatusCode.ERROR
    assert failed.status.description == "MailboxError"
    assert not failed.events


def test_a_span_names_no_user(spans: Spans) -> None:
    with telemetry.span("sync", Work((ANNA,), "changed")):
        pass
    found = spans()["sync"]
    assert dict(found.attributes or {}) == {"calendar.reason": "changed", "calendar.users": 1}
    assert ANNA not in found.to_json()


class Kept:
    async def put(self, hour: datetime, process: str, tally: Tally) -> None: ...


def told(reader: InMemoryMetricReader) -> dict[str, Any]:
    """The value of each instrument: of counters and gauges the value, of durations the sum."""
    data = reader.get_metrics_data()
    assert data is not None
    values: dict[str, Any] = {}
    for metric in data.resource_metrics[0].scope_metrics[0].metrics:
        point = next(iter(metric.data.data_points))
        values[metric.name] = getattr(point, "sum", None) or getattr(point, "value", None)
    return values


def test_what_is_counted_and_measured_is_told(reader: InMemoryMetricReader) -> None:
    counting = Metrics(Kept(), "process", telemetry.Instruments())
    before = told(reader) if reader.get_metrics_data() else {}
    counting.count("reads", 3)
    counting.count("reads")
    counting.observe("sync", 1.5)
    after = told(reader)
    assert after["calendar.reads"] - before.get("calendar.reads", 0) == 4
    assert after["calendar.sync_seconds"] - before.get("calendar.sync_seconds", 0) == 1.5


def test_every_counter_and_duration_is_an_instrument_and_no_two_share_a_name() -> None:
    names = [*COUNTERS, *(f"{name}_seconds" for name in DURATIONS), *telemetry.GAUGES]
    assert len(set(names)) == len(names)


def test_every_number_of_the_whole_service_is_documented_and_no_other() -> None:
    section = (ROOT / "docs" / "monitoring.md").read_text().split("## In Application Insights\n")[1]
    assert dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", section, re.MULTILINE)) == telemetry.GAUGES


def status(**changes: Any) -> Status:
    return Status(
        **{
            "at": NOW,
            "missing": (),
            "census": Census(NOW, total=120, failing=7, subscribed=100),
            "queues": (
                QueueLength("sync", 12, 0, NOW - timedelta(minutes=20)),
                QueueLength("publish", 3, 0, None),
            ),
            "tasks": (),
            "midnight": None,
            "poll": None,
            "parts": 16,
            "budget": BudgetUse(8, 0, None),
            "troubles": {},
            "day": (),
            "expires_on": None,
            "warnings": (StatusWarning("no_notifications", "Nothing comes in.", "/"),),
            **changes,
        }
    )


def test_the_state_of_the_service_is_told(
    reader: InMemoryMetricReader, caplog: pytest.LogCaptureFixture
) -> None:
    telemetry.report(status(), telemetry.Instruments())
    values = told(reader)
    assert values["calendar.users"] == 120
    assert values["calendar.users_failing"] == 7
    assert values["calendar.subscribed"] == 100
    assert values["calendar.waiting"] == 15
    assert values["calendar.oldest_waiting_seconds"] == 1200


def test_every_warning_is_logged_by_its_code(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        telemetry.report(status(), None)
    assert [(record.getMessage(), vars(record)["code"]) for record in caplog.records] == [
        ("status", "no_notifications")
    ]


@pytest.mark.parametrize(
    ("settings", "begins"),
    [
        ({}, ""),
        ({"CALENDAR_TELEMETRY": "no"}, ""),
        ({"CALENDAR_TELEMETRY": "console"}, "_tell_console"),
        ({"APPLICATIONINSIGHTS_CONNECTION_STRING": "InstrumentationKey=0"}, "_tell_azure"),
    ],
)
def test_telemetry_begins_only_where_it_is_asked_for(
    settings: dict[str, str], begins: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telemetry, "_on", False)
    begun: list[str] = []
    assert telemetry.start(settings, lambda begin: begun.append(begin.__name__)) == bool(begins)
    assert begun == ([begins] if begins else [])
    assert (telemetry.instruments() is not None) == bool(begins)


def test_without_telemetry_no_exporter_is_loaded() -> None:
    code = (
        "import sys, function_app; "
        "sys.exit(any(name.startswith(('azure.monitor', 'opentelemetry')) for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_nothing_is_traced_that_the_libraries_would_say_of_their_own() -> None:
    assert set(telemetry._LIBRARIES) == set(distro._ALL_SUPPORTED_INSTRUMENTED_LIBRARIES)


def test_a_pseudonym_is_the_same_however_the_guid_is_written() -> None:
    assert pseudonym(ANNA) == pseudonym(f" {ANNA.upper()}") != pseudonym(ANNA[::-1])
    assert len(pseudonym(ANNA)) == 12


# ---- log lines

IDS = {
    "bytes",
    "code",
    "date",
    "effects",
    "key",
    "mailbox",
    "missing",
    "operation",
    "presences",
    "queue",
    "reason",
    "round",
    "skipped",
    "step",
    "task",
    "unknown",
    "user",
    "users",
}
"""What a log line may say."""


def logged() -> Iterator[tuple[str, str, ast.expr]]:
    """Each name and value that log lines carry, and where: given at once, or collected as ``facts``."""
    for path in sorted(path for folder in ("functions", "shared") for path in (ROOT / folder).rglob("*.py")):
        nodes = list(ast.walk(ast.parse(path.read_text())))
        said = [
            keyword.value
            for call in nodes
            if isinstance(call, ast.Call) and ast.unparse(call.func).startswith("_log.")
            for keyword in call.keywords
            if keyword.arg == "extra"
        ]
        said += [
            node.value for node in nodes if isinstance(node, ast.Assign) and "facts" in ast.unparse(node)
        ]
        for each in (part for value in said for part in ast.walk(value)):
            if isinstance(each, ast.Dict):
                for key, value in zip(each.keys, each.values, strict=True):
                    yield f"{path.name}:{each.lineno}", ast.literal_eval(cast("ast.expr", key)), value


def test_log_lines_carry_ids_and_numbers_only() -> None:
    found = list(logged())
    assert len(found) > 20
    for where, name, _ in found:
        assert name in IDS, f"{where}: {name}"


def test_users_and_mailboxes_are_logged_by_their_pseudonym() -> None:
    named = [(where, value) for where, name, value in logged() if name in ("user", "mailbox")]
    assert len(named) > 6
    for where, value in named:
        assert ast.unparse(value).startswith("pseudonym("), where
