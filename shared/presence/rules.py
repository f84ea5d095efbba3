"""What an administrator decides about presence: mapping, language, zone, priorities."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple, Self
from zoneinfo import ZoneInfo

from shared.model import Activity, ShowAs
from shared.presence.languages import Language, languages

UNTIL_UNITS = ("ms", "s")
IGNORE = "ignore"

_brief = reprlib.Repr(maxstring=60, maxother=60)
quote: Callable[[object], str] = _brief.repr
"""A value as an error shows it: short, and without characters that can't be printed."""


class Fault(NamedTuple):
    """One wrong setting: its dotted name, what is wrong, what to do."""

    field: str
    fault: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.field}: {self.fault}. {self.remedy}"


class RulesError(ValueError):
    """Settings are wrong; ``faults`` holds all of them, each with its field, fault and remedy."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__(" ".join(map(str, self.faults)))


@dataclass(frozen=True, slots=True)
class ActivityMapping:
    """From show-as to activity; None ignores the appointment. Free appointments never show.

    ``tentative_exception`` is for tentative appointments of the organizers who are named as exceptions.
    """

    busy: Activity | None = Activity.BUSY
    tentative: Activity | None = None
    tentative_exception: Activity | None = Activity.AWAY
    out_of_office: Activity | None = Activity.AWAY
    working_elsewhere: Activity | None = Activity.AVAILABLE
    no_data: Activity | None = None


@dataclass(frozen=True, slots=True)
class PresenceRules:
    """Everything that decides how an agenda becomes a note.

    ``language`` is a code of :data:`languages`, ``timezone`` an IANA name, ``until_unit`` ``ms`` or ``s``.
    A subject with one of ``prioritized`` in it goes first, one with any of ``not_prioritized`` last.
    Raises RulesError for a language, zone or unit that doesn't exist.
    """

    language: str = "en"
    timezone: str = "UTC"
    show_subject: bool = True
    until_unit: str = "ms"
    mapping: ActivityMapping = ActivityMapping()
    tentative_exception_organizers: tuple[str, ...] = ()
    prioritized: tuple[str, ...] = ()
    not_prioritized: tuple[str, ...] = ()

    zone: ZoneInfo = field(init=False, repr=False, compare=False)
    words: Language = field(init=False, repr=False, compare=False)
    activities: Mapping[ShowAs, Activity | None] = field(init=False, repr=False, compare=False)
    """The mapping by show-as, *free* included."""
    exceptions: frozenset[str] = field(init=False, repr=False, compare=False)
    """The exceptional organizers as they are compared: case-folded."""
    raising: tuple[str, ...] = field(init=False, repr=False, compare=False)
    """``prioritized`` as it is compared: trimmed, case-folded, nothing empty."""
    lowering: tuple[str, ...] = field(init=False, repr=False, compare=False)
    """``not_prioritized`` as it is compared."""

    def __post_init__(self) -> None:
        faults: list[Fault] = []
        settle = object.__setattr__
        try:
            settle(self, "words", find_language(self.language))
        except RulesError as error:
            faults += error.faults
        try:
            settle(self, "zone", find_zone(self.timezone))
        except RulesError as error:
            faults += error.faults
        if self.until_unit not in UNTIL_UNITS:
            faults.append(_not_one_of("until_unit", self.until_unit, UNTIL_UNITS))
        if faults:
            raise RulesError(faults)
        mapping = self.mapping
        activities = {
            ShowAs.FREE: None,
            ShowAs.TENTATIVE: mapping.tentative,
            ShowAs.BUSY: mapping.busy,
            ShowAs.OUT_OF_OFFICE: mapping.out_of_office,
            ShowAs.WORKING_ELSEWHERE: mapping.working_elsewhere,
            ShowAs.NO_DATA: mapping.no_data,
        }
        settle(self, "activities", activities)
        settle(self, "exceptions", frozenset(_compared(self.tentative_exception_organizers)))
        settle(self, "raising", _compared(self.prioritized))
        settle(self, "lowering", _compared(self.not_prioritized))

    @classmethod
    def from_mapping(cls, settings: Mapping[str, Any]) -> Self:
        """Read rules from a mapping as JSON gives it; what is missing takes its default.

        ``mapping`` is a mapping of show-as (and ``tentative_exception``) to ``available``, ``busy``,
        ``away``, ``dnd`` or ``ignore``; the lists are lists of strings. Raises RulesError with every
        fault found.
        """
        faults: list[Fault] = []
        values: dict[str, Any] = {}
        for name, value in settings.items():
            try:
                convert = _CONVERSIONS[name]
            except KeyError:
                faults.append(_not_one_of("settings", name, _CONVERSIONS, "has no setting"))
                continue
            try:
                values[name] = convert(name, value)
            except RulesError as error:
                faults += error.faults
        try:
            rules = cls(**values)
        except RulesError as error:
            faults += error.faults
        if faults:
            raise RulesError(faults)
        return rules


def find_language(code: str) -> Language:
    """Find a language by its code. Raises RulesError when there is none."""
    try:
        return languages[code]
    except KeyError:
        raise RulesError([_not_one_of("language", code, languages)]) from None


def find_zone(name: str) -> ZoneInfo:
    """Find a time zone by its IANA name. Raises RulesError when there is none."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        # OSError: the name of a folder of the database, such as "Europe".
        fault = Fault(
            "timezone", f"{quote(name)} is not a time zone", "Give an IANA name such as Europe/Berlin or UTC."
        )
        raise RulesError([fault]) from None


def _compared(entries: Iterable[str]) -> tuple[str, ...]:
    return tuple(folded for entry in entries if (folded := entry.strip().casefold()))


def _not_one_of(name: str, value: object, known: Iterable[str], fault: str = "") -> Fault:
    text = f"{fault} {quote(value)}" if fault else f"{quote(value)} is not known"
    return Fault(name, text, f"Use one of: {', '.join(known)}.")


def _text(name: str, value: object) -> str:
    if isinstance(value, str):
        return value
    raise RulesError([Fault(name, f"{quote(value)} is not text", "Write it as a string in quotes.")])


def _flag(name: str, value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise RulesError([Fault(name, f"{quote(value)} is neither true nor false", "Use true or false.")])


def _list(name: str, value: object) -> tuple[str, ...]:
    if isinstance(value, list | tuple) and all(isinstance(entry, str) for entry in value):
        return tuple(value)
    raise RulesError([Fault(name, f"{quote(value)} is not a list of texts", 'Write it as ["one", "two"].')])


def _mapping(name: str, value: object) -> ActivityMapping:
    if not isinstance(value, Mapping):
        fault = Fault(name, f"{quote(value)} is not an object", 'Write it as {"busy": "busy"}.')
        raise RulesError([fault])
    known = [part.name for part in fields(ActivityMapping)]
    faults: list[Fault] = []
    activities: dict[str, Activity | None] = {}
    for show_as, activity in value.items():
        if show_as not in known:
            faults.append(_not_one_of(name, show_as, known, "can't map"))
        elif activity == IGNORE:
            activities[show_as] = None
        elif isinstance(activity, str) and activity in Activity:
            activities[show_as] = Activity(activity)
        else:
            faults.append(_not_one_of(f"{name}.{show_as}", activity, [*Activity, IGNORE]))
    if faults:
        raise RulesError(faults)
    return ActivityMapping(**activities)


_CONVERSIONS: dict[str, Callable[[str, object], object]] = {
    "language": _text,
    "timezone": _text,
    "show_subject": _flag,
    "until_unit": _text,
    "mapping": _mapping,
    "tentative_exception_organizers": _list,
    "prioritized": _list,
    "not_prioritized": _list,
}
