"""What an administrator decides about presence: mapping, language, zone, priorities."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self
from zoneinfo import ZoneInfo

from shared.model import Activity, ShowAs
from shared.presence.checks import (
    Fault,
    FieldError,
    check_choice,
    check_flag,
    check_name,
    check_object,
    check_text,
    check_texts,
    quote,
)
from shared.presence.languages import Language, languages

UNTIL_UNITS = ("ms", "s")
IGNORE = "ignore"


class RulesError(FieldError):
    """Settings are wrong."""


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
    Raises RulesError, with every fault, for a language, zone or unit that doesn't exist.
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
        except FieldError as error:
            faults += error.faults
        try:
            settle(self, "zone", find_zone(self.timezone))
        except FieldError as error:
            faults += error.faults
        try:
            check_choice("until_unit", self.until_unit, UNTIL_UNITS)
        except FieldError as error:
            faults += error.faults
        if faults:
            raise RulesError(*faults)
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
        settle(self, "exceptions", frozenset(_fold(self.tentative_exception_organizers)))
        settle(self, "raising", _fold(self.prioritized))
        settle(self, "lowering", _fold(self.not_prioritized))

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
                check_name(name, name, _CHECKS)
                values[name] = _CHECKS[name](name, value)
            except FieldError as error:
                faults += error.faults
        try:
            rules = cls(**values)
        except RulesError as error:
            faults += error.faults
        if faults:
            raise RulesError(*faults)
        return rules


def find_language(code: str) -> Language:
    """Find a language by its code. Raises FieldError when there is none."""
    return languages[check_choice("language", code, languages)]


def find_zone(name: str) -> ZoneInfo:
    """Find a time zone by its IANA name. Raises FieldError when there is none."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        # OSError: the name of a folder of the database, such as "Europe".
        fault = f"{quote(name)} is not a time zone"
        remedy = "Give an IANA name such as Europe/Berlin or UTC."
        raise FieldError(Fault("timezone", fault, remedy)) from None


def _fold(entries: Iterable[str]) -> tuple[str, ...]:
    return tuple(folded for entry in entries if (folded := entry.strip().casefold()))


def _check_mapping(field: str, value: object) -> ActivityMapping:
    faults: list[Fault] = []
    activities: dict[str, Activity | None] = {}
    for show_as, activity in check_object(field, value).items():
        try:
            check_name(f"{field}.{show_as}", show_as, [part.name for part in fields(ActivityMapping)])
            chosen = check_choice(f"{field}.{show_as}", activity, [*Activity, IGNORE])
            activities[show_as] = None if chosen == IGNORE else Activity(chosen)
        except FieldError as error:
            faults += error.faults
    if faults:
        raise FieldError(*faults)
    return ActivityMapping(**activities)


_CHECKS: dict[str, Callable[[str, object], object]] = {
    "language": check_text,
    "timezone": check_text,
    "show_subject": check_flag,
    "until_unit": check_text,
    "mapping": _check_mapping,
    "tentative_exception_organizers": check_texts,
    "prioritized": check_texts,
    "not_prioritized": check_texts,
}
