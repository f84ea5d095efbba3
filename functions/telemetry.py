"""What the service tells OpenTelemetry: log lines, counters, durations, and the way of each change.

Without Azure's Application Insights, or the console on a developer's machine, none of it is even imported.
The trace context travels in the queues' messages (W3C Trace Context), so that a trace leads from Exchange's
notification to the PBX. Nothing here names a user, an address or a subject.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Thread
from typing import TYPE_CHECKING

from shared.metrics import COUNTERS, DURATIONS
from shared.state.queues import Work

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Link

    from shared.sync.status import Status

_log = logging.getLogger(__name__)

PREFIX = "calendar."
"""Begins every name that is told."""

GAUGES: Mapping[str, str] = {
    "users": "Users of the PBX in the scope.",
    "users_failing": "Users whose calendar can't be read.",
    "subscribed": "Users whose changes Exchange reports.",
    "waiting": "Messages in the queues, those for later included.",
    "oldest_waiting_seconds": "For how long the oldest work has waited that could be done now.",
}
"""What every upkeep tells of the whole service, by name."""

_ROUNDS = frozenset({"midnight", "poll", "upkeep", "directory", "configuration", "hourly"})
"""Reasons of work for everybody: each message is a trace of its own then, with a link to the round's."""

_LIBRARIES = (
    "azure_sdk",
    "django",
    "fastapi",
    "flask",
    "httpx",
    "httpx2",
    "psycopg2",
    "requests",
    "urllib",
    "urllib3",
)
"""What could be traced besides and is not: addresses of tables and of Exchange name users."""

_on = False


def start(values: Mapping[str, str], run: Callable[[Callable[[], None]], None] | None = None) -> bool:
    """Begin to tell, if the app settings ask for it; return whether they do.

    The exporters take a second to load: that happens beside the first execution, not before it.
    """
    global _on
    if values.get("APPLICATIONINSIGHTS_CONNECTION_STRING"):
        begin = _tell_azure
    elif values.get("CALENDAR_TELEMETRY") == "console":
        begin = _tell_console
    else:
        return False
    _on = True
    (run or _run_beside)(begin)
    return True


class Instruments:
    """Counts and measures over OpenTelemetry, by the names of `shared.metrics`."""

    def __init__(self) -> None:
        from opentelemetry.metrics import get_meter

        meter = get_meter("calendar")
        self._counters = {
            name: meter.create_counter(f"{PREFIX}{name}", description=text) for name, text in COUNTERS.items()
        }
        self._durations = {
            name: meter.create_histogram(f"{PREFIX}{name}_seconds", "s", text)
            for name, text in DURATIONS.items()
        }
        self._gauges = {
            name: meter.create_gauge(f"{PREFIX}{name}", description=text) for name, text in GAUGES.items()
        }

    def count(self, name: str, n: int) -> None:
        """Count ``n`` more."""
        self._counters[name].add(n)

    def observe(self, name: str, seconds: float) -> None:
        """Note how long something took."""
        self._durations[name].record(seconds)

    def show(self, status: Status) -> None:
        """Tell the state of the whole service."""
        waited = status.at - status.oldest_waiting if status.oldest_waiting else None
        values: dict[str, float] = {
            "waiting": sum(queue.waiting for queue in status.queues),
            "oldest_waiting_seconds": waited.total_seconds() if waited else 0,
        }
        if status.census is not None:
            values["users"] = status.census.total
            values["users_failing"] = status.census.failing
            values["subscribed"] = status.census.subscribed
        for name, value in values.items():
            self._gauges[name].set(value)


def instruments() -> Instruments | None:
    """The instruments, where telemetry is on."""
    return Instruments() if _on else None


def report(status: Status, told: Instruments | None) -> None:
    """Log every warning of a status by its code, and tell the numbers."""
    for warning in status.warnings:
        _log.warning("status", extra={"code": warning.code})
    if told is not None:
        told.show(status)


def traceparent() -> str:
    """The present place in the trace, for a message; empty where there is none."""
    if not _on:
        return ""
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier.get("traceparent", "")


@contextmanager
def span(function: str, work: Work | None = None) -> Iterator[None]:
    """One execution of a function, as a part of the trace that its message came from.

    What the host began for the execution is linked. An error shows as its type: a text could say more.
    """
    if not _on:
        yield
        return
    from opentelemetry import trace

    parent, links = _origin(work)
    kind = trace.SpanKind.CONSUMER if work else trace.SpanKind.INTERNAL
    attributes: dict[str, str | int] = {}
    if work:
        attributes = {"calendar.reason": work.reason, "calendar.users": len(work.users)}
    with trace.get_tracer("calendar").start_as_current_span(
        function, parent, kind, attributes, links, record_exception=False, set_status_on_exception=False
    ) as begun:
        try:
            yield
        except Exception as error:
            begun.set_status(trace.StatusCode.ERROR, type(error).__name__)
            raise


def _origin(work: Work | None) -> tuple[Context | None, list[Link]]:
    """The parent of a message's execution (None: the host's), and the other trace it belongs to."""
    from opentelemetry import trace
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    if work is None or not work.traceparent:
        return None, []
    sent = TraceContextTextMapPropagator().extract({"traceparent": work.traceparent})
    of_message = trace.get_current_span(sent).get_span_context()
    of_host = trace.get_current_span().get_span_context()
    if not of_message.is_valid:
        return None, []
    if work.reason in _ROUNDS:
        return None, [trace.Link(of_message)]
    return sent, [trace.Link(of_host)] if of_host.is_valid else []


def _run_beside(begin: Callable[[], None]) -> None:
    Thread(target=_begin_safely, args=(begin,), name="telemetry", daemon=True).start()


def _begin_safely(begin: Callable[[], None]) -> None:
    try:
        begin()
    except Exception as error:
        _log.warning("no telemetry", exc_info=error)


def _tell_azure() -> None:
    """The exporter signs in as APPLICATIONINSIGHTS_AUTHENTICATION_STRING says."""
    from azure.monitor.opentelemetry import configure_azure_monitor

    os.environ.setdefault("APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL", "true")
    configure_azure_monitor(
        instrumentation_options={name: {"enabled": False} for name in _LIBRARIES},
        enable_live_metrics=False,
        enable_performance_counters=False,
    )


def _tell_console() -> None:
    from opentelemetry import metrics, trace
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, PeriodicExportingMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter()))
    trace.set_tracer_provider(provider)
    metrics.set_meter_provider(MeterProvider([PeriodicExportingMetricReader(ConsoleMetricExporter())]))
