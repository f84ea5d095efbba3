"""What the command reads: an agenda, an instant and settings as a JSON object."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, NamedTuple

from shared.model import Appointment, Response, Sensitivity, ShowAs
from shared.presence.rules import PresenceRules, RulesError, quote


class RequestError(ValueError):
    """A request can't be understood; the text names the field, its fault and the remedy."""


class Request(NamedTuple):
    """Everything that composing needs."""

    appointments: list[Appointment]
    now: datetime
    rules: PresenceRules


def parse_request(line: str) -> Request:
    """Read one request; settings that are missing take their defaults. Raises RequestError."""
    try:
        request = json.loads(line)
    except RecursionError:
        raise RequestError("The line is nested too deeply. Write one flat JSON object a line.") from None
    except ValueError as error:
        raise RequestError(f"The line is not JSON: {error}. Write one JSON object a line.") from None
    if not isinstance(request, dict):
        raise RequestError(f"The line holds {quote(request)}. Write one JSON object, {{…}}, a line.")
    now = parse_instant("now", _require(request, "now", ""))
    settings = request.get("settings", {})
    if not isinstance(settings, dict):
        raise RequestError(
            f"settings: {quote(settings)} is not an object. Write it as {{…}} or leave it out."
        )
    try:
        rules = PresenceRules.from_mapping(settings)
    except RulesError as error:
        raise RequestError(" ".join(f"settings.{fault}" for fault in error.faults)) from None
    agenda = _require(request, "appointments", "")
    if not isinstance(agenda, list):
        raise RequestError(f"appointments: {quote(agenda)} is not a list. Write it as [{{…}}, {{…}}].")
    return Request([_parse_appointment(item, index) for index, item in enumerate(agenda)], now, rules)


def parse_instant(name: str, value: object) -> datetime:
    """Read an ISO 8601 instant, which must say its offset, into UTC. Raises RequestError naming ``name``."""
    try:
        instant = datetime.fromisoformat(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise RequestError(
            f"{name}: {quote(value)} is not an instant. Write it like 2017-08-21T08:30:00Z."
        ) from None
    if instant.tzinfo is None:
        raise RequestError(
            f"{name}: {quote(value)} has no time zone. End it with Z or an offset such as +02:00."
        )
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise RequestError(f"{name}: {quote(value)} is beyond the calendar. Correct the year.") from None


def write_instant(instant: datetime) -> str:
    """Write an instant in UTC, ``2017-08-21T08:30:00Z``."""
    return instant.isoformat().replace("+00:00", "Z")


def _parse_appointment(item: object, index: int) -> Appointment:
    place = f"appointments[{index}]"
    if not isinstance(item, dict):
        raise RequestError(f"{place}: {quote(item)} is not an object. Write it as {{…}}.")
    place += "."
    required = {name: parse(place + name, _require(item, name, place)) for name, parse in _REQUIRED.items()}
    others = {name: parse(place + name, item[name]) for name, parse in _OPTIONAL.items() if name in item}
    return Appointment(**required, **others)


def _require(request: Mapping[str, Any], name: str, place: str) -> object:
    try:
        return request[name]
    except KeyError:
        raise RequestError(f"{place}{name}: missing. Add it.") from None


def _text(name: str, value: object) -> str:
    if isinstance(value, str):
        return value
    raise RequestError(f"{name}: {quote(value)} is not text. Write it as a string in quotes.")


def _flag(name: str, value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise RequestError(f"{name}: {quote(value)} is neither true nor false. Use true or false.")


def _one_of(kind: type[StrEnum]) -> Callable[[str, object], StrEnum]:
    def parse(name: str, value: object) -> StrEnum:
        if isinstance(value, str) and value in kind:
            return kind(value)
        raise RequestError(f"{name}: {quote(value)} is not known. Use one of: {', '.join(kind)}.")

    return parse


_REQUIRED: dict[str, Callable[[str, object], Any]] = {
    "id": _text,
    "start": parse_instant,
    "end": parse_instant,
}
_OPTIONAL: dict[str, Callable[[str, object], Any]] = {
    "subject": _text,
    "all_day": _flag,
    "show_as": _one_of(ShowAs),
    "sensitivity": _one_of(Sensitivity),
    "organizer": _text,
    "cancelled": _flag,
    "response": _one_of(Response),
}
