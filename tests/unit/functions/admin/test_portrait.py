"""A user's portrait: notes, reasons and the picture agree with each other."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from lxml import etree

from functions.admin.portrait import Viewer, portray
from shared.model import Activity, Agenda, Appointment, Sensitivity, ShowAs
from shared.presence import FieldError, PresenceRules, compose
from tests.unit.presence.agendas import BERLIN, appoint, at, draw_case

NOW = at("06:20")
GERMAN = Viewer("de", "Europe/Berlin")


def agenda_of(*appointments: Appointment) -> Agenda:
    return Agenda(appointments, NOW, NOW + timedelta(hours=48), 1)


def test_the_notes_follow_each_other_in_the_words_of_the_viewer() -> None:
    portrait = portray(agenda_of(appoint("08:30", "09:30")), NOW, BERLIN, GERMAN, "Anna")
    assert [(told.at, told.sentence) for told in portrait.told] == [
        (NOW, "Frei bis 10:30 (Beschäftigt: Meeting)"),
        (at("08:30"), "Meeting bis 11:30"),
        (at("09:30"), "Free"),
    ], "the bare word carries no tag that a client could translate"
    assert portrait.told[0].presence.note.startswith("Free until 10:30 (Busy: Meeting) #free")
    assert len(portrait.explanation.episodes) == 3


def test_the_picture_shows_who_wins_and_who_does_not_count() -> None:
    agenda = agenda_of(
        appoint("08:30", "09:30"),
        appoint("08:00", "12:00", "Doctor", sensitivity=Sensitivity.PRIVATE),
        appoint("10:00", "11:00", "Maybe", show_as=ShowAs.TENTATIVE),
    )
    portrait = portray(agenda, NOW, BERLIN, GERMAN, "Anna")
    assert [(bar.lane, bar.title, len(bar.shows)) for bar in portrait.bars] == [
        ("busy", "Meeting", 1),
        ("busy", "a private appointment", 2),
        ("ignored", "Maybe", 0),
    ]
    root = etree.fromstring(portrait.picture.encode())
    classes = [each.get("class") or "" for each in root.iter()]
    assert classes.count("wins busy") == 3, "the long one before and after the meeting"
    assert classes.count("bar ignored") == 1
    text = " ".join(str(each) for each in root.itertext())
    assert "a private appointment (10:00 to 14:00)" in text
    assert "Doctor" not in text
    assert "The next 48 hours of Anna" in text


def test_an_empty_calendar_is_free_all_along() -> None:
    portrait = portray(agenda_of(), NOW, BERLIN, GERMAN, "Anna")
    assert [told.sentence for told in portrait.told] == ["Free"]
    assert 'class="shown available"' in portrait.picture


def test_a_viewer_that_does_not_exist_is_refused() -> None:
    with pytest.raises(FieldError):
        portray(agenda_of(), NOW, BERLIN, Viewer("de", "Europe/Nowhere"), "Anna")


@given(draw_case())
def test_every_portrait_can_be_drawn_and_begins_with_the_present_note(
    case: tuple[list[Appointment], datetime, PresenceRules],
) -> None:
    agenda, now, rules = case
    portrait = portray(agenda_of(*agenda), now.astimezone(UTC), rules, GERMAN, "x")
    etree.fromstring(portrait.picture.encode())
    first = compose(agenda, now, rules)
    assert portrait.told[0].presence == first
    assert portrait.told[-1].presence.activity is Activity.AVAILABLE
