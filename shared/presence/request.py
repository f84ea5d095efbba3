"""What the command reads: an agenda, an instant and settings as a JSON object."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from typing import Any, NamedTuple

from shared.model import Appointment, Response, Sensitivity, ShowAs
from shared.presence.checks import (
    Fault,
    FieldError,
    check_choice,
    check_flag,
    check_object,
    check_text,
    quote,
)
from shared.presence.rules import PresenceRules, RulesError


class Request(NamedTuple):
    """Everything that composing needs."""

    appointments: list[Appointment]
    now: datetime
    rules: PresenceRules


def parse_request(line: str) -> Request:
    """Read one request; settings that are missing take their defaults. Raises FieldError."""
    try:
        parsed = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise FieldError(Fault("line", f"not JSON ({error})", "Write one JSON object a line.")) from None
    request = check_object("line", parsed)
    for name in ("now", "appointments"):
        if name not in request:
            raise _missing(name)
    now = parse_instant("now", request["now"])
    try:
        rules = PresenceRules.from_mapping(check_object("settings", request.get("settings", {})))
    except RulesError as error:
        raise FieldError(
            *(fault._replace(field=f"settings.{fault.field}") for fault in error.faults)
        ) from None
    agenda = request["appointments"]
    if not isinstance(agenda, list):
        raise FieldError(Fault("appointments", f"{quote(agenda)} is not a list", "Write it as [{…}, {…}]."))
    items = [_parse_appointment(f"appointments[{place}]", item) for place, item in enumerate(agenda)]
    return Request(items, now, rules)


def parse_instant(field: str, value: object) -> datetime:
    """Read an ISO 8601 instant, which must say its offset, into UTC. Raises FieldError."""
    text = check_text(field, value)
    try:
        instant = datetime.fromisoformat(text)
        utc = instant.astimezone(UTC)
    except (ValueError, OverflowError):
        fault = f"{quote(text)} is not an instant"
        raise FieldError(Fault(field, fault, "Write it like 2017-08-21T08:30:00Z.")) from None
    if instant.tzinfo is None:
        fault = f"{quote(text)} has no time zone"
        raise FieldError(Fault(field, fault, "End it with Z or an offset such as +02:00."))
    return utc


def write_instant(instant: datetime) -> str:
    """Write an instant in UTC, ``2017-08-21T08:30:00Z``."""
    return instant.isoformat().replace("+00:00", "Z")


def _parse_appointment(place: str, value: object) -> Appointment:
    item = check_object(place, value)
    values: dict[str, Any] = {}
    for name, check in _CHECKS.items():
        if name in item:
            values[name] = check(f"{place}.{name}", item[name])
        elif name in _REQUIRED:
            raise _missing(f"{place}.{name}")
    return Appointment(**values)


def _missing(field: str) -> FieldError:
    return FieldError(Fault(field, "missing", "Add it."))


def _check_member(kind: type[StrEnum], field: str, value: object) -> StrEnum:
    return kind(check_choice(field, value, kind))


_REQUIRED = ("id", "start", "end")
_CHECKS: dict[str, Callable[[str, object], Any]] = {
    "id": check_text,
    "subject": check_text,
    "start": parse_instant,
    "end": parse_instant,
    "all_day": check_flag,
    "show_as": partial(_check_member, ShowAs),
    "sensitivity": partial(_check_member, Sensitivity),
    "organizer": check_text,
    "cancelled": check_flag,
    "response": partial(_check_member, Response),
}
