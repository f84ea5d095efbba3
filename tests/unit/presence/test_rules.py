"""Rules: their defaults, how they are read, and what is said about wrong ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from shared.model import Activity, ShowAs
from shared.presence import ActivityMapping, FieldError, PresenceRules, RulesError
from shared.presence.rules import find_language, find_zone


def test_missing_settings_take_the_defaults() -> None:
    rules = PresenceRules.from_mapping({})

    assert rules == PresenceRules()
    assert (rules.language, rules.timezone, rules.show_subject, rules.until_unit) == ("en", "UTC", True, "ms")
    assert rules.activities == {
        ShowAs.FREE: None,
        ShowAs.TENTATIVE: None,
        ShowAs.BUSY: Activity.BUSY,
        ShowAs.OUT_OF_OFFICE: Activity.AWAY,
        ShowAs.WORKING_ELSEWHERE: Activity.AVAILABLE,
        ShowAs.NO_DATA: None,
    }
    assert rules.mapping.tentative_exception is Activity.AWAY
    assert not rules.tentative_exception_organizers + rules.prioritized + rules.not_prioritized


def test_every_setting_is_read() -> None:
    rules = PresenceRules.from_mapping(
        {
            "language": "de",
            "timezone": "Europe/Berlin",
            "show_subject": False,
            "until_unit": "s",
            "mapping": {
                "busy": "dnd",
                "tentative": "busy",
                "tentative_exception": "available",
                "out_of_office": "ignore",
                "working_elsewhere": "away",
                "no_data": "away",
            },
            "tentative_exception_organizers": ["a@example.com"],
            "prioritized": ["x"],
            "not_prioritized": ("y", "z"),
        }
    )

    assert rules == PresenceRules(
        language="de",
        timezone="Europe/Berlin",
        show_subject=False,
        until_unit="s",
        mapping=ActivityMapping(
            busy=Activity.DND,
            tentative=Activity.BUSY,
            tentative_exception=Activity.AVAILABLE,
            out_of_office=None,
            working_elsewhere=Activity.AWAY,
            no_data=Activity.AWAY,
        ),
        tentative_exception_organizers=("a@example.com",),
        prioritized=("x",),
        not_prioritized=("y", "z"),
    )
    assert rules.zone == ZoneInfo("Europe/Berlin")
    assert rules.words.free == "Frei"


def test_a_mapping_that_names_some_keeps_the_defaults_of_the_others() -> None:
    rules = PresenceRules.from_mapping({"mapping": {"no_data": "busy"}})

    assert rules.mapping == replace(ActivityMapping(), no_data=Activity.BUSY)


def test_rules_are_values() -> None:
    rules = PresenceRules(prioritized=("x",))

    assert hash(rules) == hash(PresenceRules(prioritized=("x",)))
    assert replace(rules, timezone="Asia/Tokyo").zone.key == "Asia/Tokyo"
    assert " zone=" not in repr(rules)


KNOWN_SETTINGS = (
    "language, timezone, show_subject, until_unit, mapping, tentative_exception_organizers, prioritized, "
    "not_prioritized"
)
ONE_TWO = 'Write it as ["one", "two"].'
LANGUAGES = "Use one of: en, en-GB, en-US, de, fr, it, es, nl, pt, pl, cs, ru, sl, sv, ca, eu."
ZONE = "Give an IANA name such as Europe/Berlin or UTC."


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"language": "xx"}, f"language: 'xx' is not known. {LANGUAGES}"),
        ({"language": "EN"}, f"language: 'EN' is not known. {LANGUAGES}"),
        ({"language": None}, "language: None is not text. Write it as a string in quotes."),
        ({"timezone": "Mars/Phobos"}, f"timezone: 'Mars/Phobos' is not a time zone. {ZONE}"),
        ({"timezone": "Europe"}, f"timezone: 'Europe' is not a time zone. {ZONE}"),
        ({"timezone": ""}, f"timezone: '' is not a time zone. {ZONE}"),
        ({"timezone": "../../etc/passwd"}, f"timezone: '../../etc/passwd' is not a time zone. {ZONE}"),
        ({"timezone": "a\0b"}, f"timezone: 'a\\x00b' is not a time zone. {ZONE}"),
        ({"timezone": "\ud800"}, f"timezone: '\\ud800' is not a time zone. {ZONE}"),
        ({"timezone": 1}, "timezone: 1 is not text. Write it as a string in quotes."),
        ({"show_subject": 1}, "show_subject: 1 is neither true nor false. Use true or false."),
        ({"until_unit": "h"}, "until_unit: 'h' is not known. Use one of: ms, s."),
        ({"prioritized": "a, b"}, f"prioritized: 'a, b' is not a list of texts. {ONE_TWO}"),
        ({"not_prioritized": ["a", 1]}, f"not_prioritized: ['a', 1] is not a list of texts. {ONE_TWO}"),
        (
            {"tentative_exception_organizers": None},
            f"tentative_exception_organizers: None is not a list of texts. {ONE_TWO}",
        ),
        ({"mapping": []}, 'mapping: [] is not an object. Write it as {"name": "value"}.'),
        (
            {"mapping": {"busy": "bussy"}},
            "mapping.busy: 'bussy' is not known. Use one of: available, busy, away, dnd, ignore.",
        ),
        (
            {"mapping": {"busy": ["busy"]}},
            "mapping.busy: ['busy'] is not known. Use one of: available, busy, away, dnd, ignore.",
        ),
        (
            {"mapping": {"free": "busy"}},
            "mapping.free: unknown. Use one of: busy, tentative, tentative_exception, out_of_office, "
            "working_elsewhere, no_data.",
        ),
        ({"langauge": "en"}, f"langauge: unknown. Use one of: {KNOWN_SETTINGS}."),
    ],
)
def test_a_wrong_setting_is_named_with_its_fault_and_the_remedy(
    settings: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(RulesError) as caught:
        PresenceRules.from_mapping(settings)

    assert str(caught.value) == sentence
    (fault,) = caught.value.faults
    assert sentence == f"{fault.field}: {fault.fault}. {fault.remedy}"


def test_all_wrong_settings_are_named_at_once() -> None:
    with pytest.raises(RulesError) as caught:
        PresenceRules.from_mapping(
            {
                "prioritized": 1,
                "mapping": {"busy": "x", "away": "busy", "no_data": "y"},
                "until_unit": "h",
                "timezone": "x",
                "language": "x",
                "x": 1,
            }
        )

    assert [fault.field for fault in caught.value.faults] == [
        "prioritized",
        "mapping.busy",
        "mapping.away",
        "mapping.no_data",
        "x",
        "language",
        "timezone",
        "until_unit",
    ]


def test_rules_written_in_code_are_checked_too() -> None:
    with pytest.raises(RulesError, match=r"^timezone: 'Berlin' is not a time zone"):
        PresenceRules(timezone="Berlin")


def test_a_long_value_is_quoted_in_short() -> None:
    with pytest.raises(FieldError) as caught:
        find_language("x" * 10_000)

    assert "language: 'xxx" in str(caught.value)
    assert "...xxx" in str(caught.value)
    assert len(str(caught.value)) < 200


def test_a_zone_is_found_by_its_name() -> None:
    assert find_zone("Asia/Kathmandu").key == "Asia/Kathmandu"
