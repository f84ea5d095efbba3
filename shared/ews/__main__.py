"""``python -m shared.ews inspect KIND FILE``: what the service understands of a recorded message, as JSON.

Exit status 1, and one line on standard error, for what it can't read; 2 for a wrong command.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from shared.errors import ExchangeError
from shared.ews.appointments import agenda_of, parse_found_items
from shared.ews.autodiscover import parse_discovery
from shared.ews.envelope import NOT_FROM_EXCHANGE, unreadable
from shared.ews.failures import refusal_in
from shared.ews.names import parse_matches
from shared.ews.notifications import parse_notifications, parse_subscription
from shared.ews.requests import instant

type Json = dict[str, object]


def _found_items(body: bytes) -> Json:
    found = parse_found_items(body)
    return {
        "appointments": [
            {
                "uid": item.uid,
                "subject": item.appointment.subject,
                "start": instant(item.appointment.start),
                "end": instant(item.appointment.end),
                "all_day": item.appointment.all_day,
                "show_as": item.appointment.show_as,
                "sensitivity": item.appointment.sensitivity,
                "organizer": item.appointment.organizer,
                "organizer_name": item.appointment.organizer_name,
                "cancelled": item.appointment.cancelled,
                "response": item.appointment.response,
            }
            for item in agenda_of(found.items)
        ],
        "complete": found.complete,
        "skipped": found.skipped,
        "unknown": found.unknown,
        "server_version": found.server_version,
    }


def _matches(body: bytes) -> Json:
    try:
        matches = parse_matches(body)
    except ExchangeError as error:
        return {"matches": [], "error": _code_of(error)}
    refusal = refusal_in(body)
    return {"matches": [asdict(match) for match in matches], "error": refusal and refusal.code}


def _subscription(body: bytes) -> Json:
    try:
        subscription = parse_subscription(body)
    except ExchangeError as error:
        return {"subscription_id": None, "watermark": None, "error": _code_of(error)}
    return {"subscription_id": subscription.id, "watermark": subscription.watermark, "error": None}


def _notifications(body: bytes) -> Json:
    return {"messages": [asdict(notification) for notification in parse_notifications(body)]}


def _discovery(body: bytes) -> Json:
    return asdict(parse_discovery(body))


def _fault(body: bytes) -> Json:
    error = refusal_in(body)
    if error is None:
        raise unreadable("it reports no failure")
    pause = None if error.retry_after is None else error.retry_after.total_seconds()
    return {
        "code": error.code,
        "meaning": str(error),
        "retry_after_s": int(pause) if pause is not None and pause.is_integer() else pause,
    }


def _code_of(error: ExchangeError) -> str:
    """The code that Exchange reported; raises the error again when Exchange reported none."""
    if error.code in NOT_FROM_EXCHANGE:
        raise error
    return error.code


_KINDS: dict[str, Callable[[bytes], Json]] = {
    "finditem": _found_items,
    "resolvenames": _matches,
    "subscribe": _subscription,
    "notification": _notifications,
    "autodiscover": _discovery,
    "fault": _fault,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the result is the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m shared.ews", description="Look into messages of Exchange."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    inspect = commands.add_parser("inspect", help="print what the service understands of a recorded message")
    inspect.add_argument("kind", choices=_KINDS)
    inspect.add_argument("file", type=Path)
    options = parser.parse_args(arguments)
    try:
        understood = _KINDS[options.kind](options.file.read_bytes())
    except OSError as error:
        print(f"{options.file}: {error.strerror}", file=sys.stderr)
        return 1
    except ExchangeError as error:
        print(f"{options.file}: {error.code}: {error}", file=sys.stderr)
        return 1
    print(json.dumps(understood, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
