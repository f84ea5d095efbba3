"""Who shows when, and what each of them is told apart by."""

from __future__ import annotations

from shared.model import Activity, ShowAs
from shared.presence import PresenceRules, Rival, Rule, Segment, compose_each, timeline
from tests.unit.presence.agendas import BERLIN, appoint, at


def test_an_empty_agenda_is_nobodys_for_ever() -> None:
    segments = timeline([], at("09:00"), BERLIN)

    assert segments == (Segment(at("09:00"), None, None, Activity.AVAILABLE),)
    assert segments[0].reason is None
    assert [(instant, presence.note) for instant, presence in compose_each(segments, BERLIN)] == [
        (at("09:00"), "Free")
    ]
    assert list(compose_each((), BERLIN)) == []


def test_segments_touch_and_say_who_shows_and_why() -> None:
    home = appoint("08:00", "17:00", "Home", show_as=ShowAs.WORKING_ELSEWHERE)
    talk = appoint("10:00", "12:00", "Talk")
    call = appoint("11:00", "11:30", "Call")
    lost = appoint("10:30", "11:15", "Lost", rank=0)

    assert timeline([lost, call, talk, home], at("07:00"), BERLIN) == (
        Segment(at("07:00"), at("08:00"), None, Activity.AVAILABLE),
        Segment(at("08:00"), at("10:00"), home, Activity.AVAILABLE),
        Segment(
            at("10:00"),
            at("11:00"),
            talk,
            Activity.BUSY,
            (
                Rival(home, Activity.AVAILABLE, Rule.OVER_AVAILABLE),
                Rival(lost, Activity.BUSY, Rule.RANK),
            ),
        ),
        Segment(
            at("11:00"),
            at("11:30"),
            call,
            Activity.BUSY,
            (
                Rival(talk, Activity.BUSY, Rule.LATER_START),
                Rival(home, Activity.AVAILABLE, Rule.OVER_AVAILABLE),
                Rival(lost, Activity.BUSY, Rule.RANK),
            ),
        ),
        Segment(
            at("11:30"),
            at("12:00"),
            talk,
            Activity.BUSY,
            (Rival(home, Activity.AVAILABLE, Rule.OVER_AVAILABLE),),
        ),
        Segment(at("12:00"), at("17:00"), home, Activity.AVAILABLE),
        Segment(at("17:00"), None, None, Activity.AVAILABLE),
    )


def test_a_timeline_begins_in_the_middle_of_what_runs() -> None:
    talk = appoint("08:00", "10:00", "Talk")
    over = appoint("08:00", "09:00", "Over")

    assert timeline([talk, over], at("09:00"), BERLIN)[0] == Segment(
        at("09:00"), at("10:00"), talk, Activity.BUSY
    )


def test_every_note_of_two_days_is_composed() -> None:
    rules = PresenceRules(timezone="Europe/Berlin", language="de")
    agenda = [
        appoint("09:00", "10:00", "Talk"),
        appoint("2017-08-22T20:00", "2017-08-23T04:00", "Shift", show_as=ShowAs.OUT_OF_OFFICE),
    ]
    notes = compose_each(timeline(agenda, at("08:00"), rules), rules)

    assert [(instant, presence.note.split(" #")[0]) for instant, presence in notes] == [
        (at("08:00"), "Frei bis 11:00 (Beschäftigt: Talk)"),
        (at("09:00"), "Talk bis 12:00"),
        (at("10:00"), "Frei bis 22.08.2017 22:00 (Abwesend: Shift)"),
        (at("22:00"), "Frei bis 22:00 (Abwesend: Shift)"),
        (at("2017-08-22T20:00"), "Shift bis 23.08.2017 06:00"),
        (at("2017-08-22T22:00"), "Shift bis 06:00"),
        (at("2017-08-23T04:00"), "Frei"),
    ]
