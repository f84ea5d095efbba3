"""Composing: the instants around it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from shared.model import Activity, Presence, ShowAs
from shared.presence import PresenceRules, compose, next_composition, timeline
from tests.unit.presence.agendas import BERLIN, appoint, at


def test_now_may_come_in_any_zone() -> None:
    agenda = [appoint("09:00", "10:00")]

    here = at("09:30").astimezone(BERLIN.zone)

    assert compose(agenda, here, BERLIN) == compose(agenda, at("09:30"), BERLIN)
    assert timeline(agenda, here, BERLIN) == timeline(agenda, at("09:30"), BERLIN)
    assert timeline(agenda, here, BERLIN)[0].start.tzinfo is UTC


def test_an_instant_without_a_zone_is_refused() -> None:
    naive = datetime(2017, 8, 21, 9, 30)  # noqa: DTZ001 - that is the point
    presence = compose([appoint("09:00", "10:00")], at("09:30"), BERLIN)

    with pytest.raises(ValueError, match=r"^an instant without a time zone$"):
        compose([], naive, BERLIN)
    with pytest.raises(ValueError, match=r"^an instant without a time zone$"):
        timeline([], naive, BERLIN)
    with pytest.raises(ValueError, match=r"^an instant without a time zone$"):
        next_composition(presence, naive, BERLIN)


def test_an_agenda_may_be_read_only_once() -> None:
    assert compose(iter([appoint("09:00", "10:00")]), at("09:30"), BERLIN).activity is Activity.BUSY
    assert len(timeline(iter([appoint("09:00", "10:00")]), at("09:30"), BERLIN)) == 2


def test_a_bare_free_never_has_to_be_composed_again() -> None:
    presence = compose([], at("09:00"), BERLIN)

    assert presence == Presence(Activity.AVAILABLE, "Free", None)
    assert next_composition(presence, at("09:00"), BERLIN) is None


def test_a_time_of_today_holds_until_it_comes() -> None:
    presence = compose([appoint("09:00", "10:00")], at("09:00"), BERLIN)

    assert next_composition(presence, at("09:00"), BERLIN) == presence.changes_at == at("10:00")


def test_a_date_turns_into_a_time_when_its_day_begins() -> None:
    trip = appoint("09:00", "2017-08-23T12:00", "Trip")
    monday, wednesday = at("09:00"), at("2017-08-22T22:00")
    presence = compose([trip], monday, BERLIN)

    assert presence.note.startswith("Trip until 23.08.2017 14:00 ")
    assert next_composition(presence, monday, BERLIN) == wednesday
    assert next_composition(presence, wednesday - timedelta(seconds=1), BERLIN) == wednesday
    presence = compose([trip], wednesday, BERLIN)
    assert presence.note.startswith("Trip until 14:00 ")
    assert next_composition(presence, wednesday, BERLIN) == presence.changes_at


def test_the_day_of_a_date_begins_at_its_first_midnight() -> None:
    # In Havana the hour from midnight on came twice on 1 November 2026.
    rules = PresenceRules(timezone="America/Havana")
    end = at("2026-11-01T05:30:59.5")
    trip = replace(appoint("2026-10-31T09:00", "2026-11-01T05:30", "Trip"), end=end)
    now = at("2026-10-31T10:00")
    midnight = next_composition(compose([trip], now, rules), now, rules)

    assert midnight == at("2026-11-01T04:00")
    assert midnight.tzinfo is UTC


def test_a_date_at_midnight_holds_until_it_comes() -> None:
    presence = compose([appoint("09:00", "22:00", "Shift")], at("09:00"), BERLIN)

    assert presence.note.startswith("Shift until 22.08.2017 00:00 ")
    assert next_composition(presence, at("09:00"), BERLIN) == at("22:00")


def test_a_whole_day_never_turns_into_a_time() -> None:
    fair = appoint("2017-08-20T22:00", "2017-08-24T04:00", "Fair", all_day=True)
    presence = compose([fair], at("09:00"), BERLIN)

    assert presence.note.startswith("Fair until 24.08.2017 #busy")
    assert next_composition(presence, at("09:00"), BERLIN) == fair.end


def test_a_title_that_looks_like_a_tag_is_none() -> None:
    trip = appoint("09:00", "2017-08-22T12:00", "a-#whole-day #whole-day")
    presence = compose([trip], at("09:00"), BERLIN)

    assert next_composition(presence, at("09:00"), BERLIN) == at("22:00")


def test_a_day_may_begin_at_one_in_the_morning() -> None:
    # In Beirut clocks went from 00:00 to 01:00 on 31 March 2024.
    rules = PresenceRules(timezone="Asia/Beirut")
    trip = appoint("2024-03-30T09:00", "2024-03-31T09:00", "Trip")
    now = at("2024-03-30T10:00")
    midnight = next_composition(compose([trip], now, rules), now, rules)

    assert midnight == at("2024-03-30T22:00")
    assert compose([trip], midnight, rules).note.startswith("Trip until 12:00 ")
    assert compose([trip], midnight - timedelta(seconds=1), rules).note.startswith(
        "Trip until 31.03.2024 12:00"
    )


def test_a_fraction_of_a_second_is_rounded_down_in_the_tag_and_kept_in_the_change() -> None:
    end = at("10:00") + timedelta(microseconds=1999)
    meeting = replace(appoint("09:00", "10:00"), end=end)

    presence = compose([meeting], at("09:00"), BERLIN)
    assert "#until:1503309600001" in presence.note
    assert presence.changes_at == end
    assert "#until:1503309600" in compose([meeting], at("09:00"), replace(BERLIN, until_unit="s")).note.split(
        " "
    )


def test_the_ends_of_the_calendar_have_dates_too() -> None:
    last = datetime.max.replace(tzinfo=UTC)
    first = datetime.min.replace(tzinfo=UTC)
    far_east = PresenceRules(timezone="Pacific/Kiritimati")
    far_west = PresenceRules(timezone="America/New_York")
    forever = replace(appoint("09:00", "10:00", "Forever"), end=last)
    early = replace(appoint("09:00", "10:00", "Early"), start=first, end=first + timedelta(minutes=1))

    assert compose([forever], at("09:00"), far_east).note.startswith("Forever until 31.12.9999 23:59 ")
    for day in (
        replace(forever, all_day=True),
        replace(forever, all_day=True, end=last - timedelta(hours=13)),
    ):
        assert compose([day], at("09:00"), PresenceRules()).note.startswith("Forever until 31.12.9999 #")
    assert compose([early], first, far_west).note.startswith("Early until 00:01 ")


def test_a_day_ends_at_the_nearest_midnight_up_to_the_last_noon() -> None:
    noon = datetime(9999, 12, 30, 12, tzinfo=UTC)
    day = replace(appoint("09:00", "10:00", "Day"), end=noon, all_day=True)

    assert compose([day], at("09:00"), PresenceRules()).note.startswith("Day until 31.12.9999 #")
    day = replace(day, end=noon - timedelta(microseconds=1))
    assert compose([day], at("09:00"), PresenceRules()).note.startswith("Day until 30.12.9999 #")
    day = replace(day, end=noon + timedelta(days=1) - timedelta(microseconds=1))
    assert compose([day], at("09:00"), PresenceRules()).note.startswith("Day until 31.12.9999 #")


def test_a_zone_with_a_fixed_offset_is_a_zone() -> None:
    agenda = [appoint("09:00", "10:00", show_as=ShowAs.OUT_OF_OFFICE)]
    now = at("09:00").astimezone(timezone(timedelta(hours=-7)))

    assert (
        compose(agenda, now, PresenceRules()).note
        == "Meeting until 10:00 #away #len:7:7 #until:1503309600000"
    )
