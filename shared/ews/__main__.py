"""Commands for who looks after Exchange.

``python -m shared.ews inspect KIND FILE``: what the service understands of a recorded message, as JSON.
``python -m shared.ews discover --user ADDRESS``: searches the Exchange of an address as the service does, and
prints what was tried, a line a step.

Exit status 1, and one line on standard error, for what can't be read or wasn't found; 2 for a wrong command.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from shared.errors import CalendarError, ExchangeError
from shared.ews.appointments import agenda_of, parse_found_items
from shared.ews.autodiscover import parse_discovery
from shared.ews.discovery import Kind
from shared.ews.discovery_client import Connect, explore
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


def _inspect(options: argparse.Namespace) -> int:
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


def _discover(options: argparse.Namespace, connect: Connect) -> int:
    try:
        password = os.environ[options.password_env] if options.password_env else ""
        authority = options.ca.read_text() if options.ca else ""
        exploration = explore(
            options.user, password, authority=authority, internal=options.internal, connect=connect
        )
        search = asyncio.run(exploration)
    except KeyError:
        print(f"{options.password_env}: no such environment variable", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{options.ca}: {error.strerror}", file=sys.stderr)
        return 1
    except (CalendarError, UnicodeDecodeError) as error:
        print(error, file=sys.stderr)
        return 1
    for number, step in enumerate(search.steps, 1):
        method = "POST" if step.kind is Kind.POX else "GET"
        print(f"{number:2} {method} {step.url} -> {step.outcome}: {step.then}")
    if search.found is None:
        print(f"not found: {search.error}", file=sys.stderr)
        return 1
    found = search.found
    print(f"found: {found.url}, Exchange {found.server_version or 'of unknown version'}")
    if found.other:
        print(f"note: no {'internal' if options.internal else 'external'} address is offered")
    if found.by_http:
        print("note: the way there began with http, which nothing protects; enter the address if it is right")
    return 0


def main(arguments: Sequence[str] | None = None, *, connect: Connect = lambda: None) -> int:
    """Run the command; the result is the exit status. ``connect`` makes the transports: a test double."""
    parser = argparse.ArgumentParser(prog="python -m shared.ews", description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    inspect = commands.add_parser("inspect", help="print what the service understands of a recorded message")
    inspect.add_argument("kind", choices=_KINDS)
    inspect.add_argument("file", type=Path)
    discover = commands.add_parser("discover", help="search the Exchange of an address")
    discover.add_argument("--user", required=True, metavar="ADDRESS", help="complete e-mail address")
    discover.add_argument("--internal", action="store_true", help="prefer the internal address")
    discover.add_argument("--ca", type=Path, metavar="FILE", help="authority to trust besides, PEM")
    discover.add_argument(
        "--password-env",
        metavar="NAME",
        help="environment variable with the account's password; without it nobody signs in",
    )
    options = parser.parse_args(arguments)
    return _inspect(options) if options.command == "inspect" else _discover(options, connect)


if __name__ == "__main__":
    sys.exit(main())
