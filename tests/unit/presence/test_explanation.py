"""Why: every appointment is accounted for, each rule has its sentence, and hidden subjects stay hidden."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

import pytest
from hypothesis import given

from shared.model import Activity, Appointment, Response, Sensitivity, ShowAs
from shared.presence import ActivityMapping, PresenceRules, find_omission, redact, timeline
from shared.presence.explanation import Explanation, Fate, Sentence, explain
from tests.unit.presence.agendas import BERLIN, appoint, at, draw_case

NOW = at("06:00")


def told(*agenda: Appointment, rules: PresenceRules = BERLIN, now: datetime = NOW) -> list[str]:
    explanation = explain(agenda, now, rules)
    return [sentence.text for sentence in _sentences(explanation)]


def _sentences(explanation: Explanation) -> Iterator[Sentence]:
    for episode in explanation.episodes:
        yield from episode.sentences
    yield from explanation.omitted


def test_a_lonely_appointment_is_explained_from_now_to_the_end() -> None:
    assert told(appoint("08:30", "09:30")) == [
        "Now shows free until 10:30, because no appointment counts then.",
        "From 10:30 on shows ‘Meeting’ (10:30 to 11:30) as busy until 11:30, because Busy is mapped to busy "
        "and nothing else counts then.",
        "From 11:30 on shows free as far as the calendar was read, because no appointment counts then.",
    ]


def test_an_empty_calendar_is_free() -> None:
    assert told() == ["Now shows free as far as the calendar was read, because no appointment counts then."]


def test_another_day_is_named() -> None:
    assert "22.08.2017 10:30" in told(appoint("2017-08-22T08:30", "2017-08-22T09:30"))[0]


def test_an_all_day_appointment_is_told_by_its_dates() -> None:
    holiday = appoint("2017-08-20T22:00", "2017-08-21T22:00", all_day=True, show_as=ShowAs.OUT_OF_OFFICE)
    assert "‘Meeting’ (all day, 21.08.2017 to 22.08.2017) as away" in told(holiday)[0]


BASE = appoint("05:00", "09:00", "Base")
PRIORITIES = PresenceRules(timezone="Europe/Berlin", prioritized=("important",), not_prioritized=("lunch",))


@pytest.mark.parametrize(
    ("winner", "loser", "rules", "sentence"),
    [
        (
            appoint("05:00", "09:00", "Important"),
            BASE,
            PRIORITIES,
            "its title contains nothing that is prioritized, while of the one that shows its title contains "
            "what is prioritized.",
        ),
        (
            BASE,
            appoint("05:00", "09:00", "Base lunch"),
            PRIORITIES,
            "its title contains what a prioritized title must not contain, while of the one that shows its "
            "title contains nothing that is prioritized.",
        ),
        (
            BASE,
            appoint("05:30", "09:00", "Home", show_as=ShowAs.WORKING_ELSEWHERE),
            BERLIN,
            "it only says available, which never hides busy.",
        ),
        (
            appoint("05:30", "09:00", "Later"),
            BASE,
            BERLIN,
            "it begins earlier (07:00), and what begins last shows.",
        ),
        (
            appoint("05:00", "09:00", "Out", show_as=ShowAs.OUT_OF_OFFICE),
            BASE,
            BERLIN,
            "away is stronger than busy.",
        ),
        (
            appoint("05:00", "08:00", "Short"),
            BASE,
            BERLIN,
            "it ends later (11:00), and what ends first shows.",
        ),
        (
            appoint("05:00", "09:00", "Aaa"),
            BASE,
            BERLIN,
            "it is equal in everything that counts, and then the order of Exchange's ids decides.",
        ),
    ],
)
def test_each_rule_has_its_sentence(
    winner: Appointment, loser: Appointment, rules: PresenceRules, sentence: str
) -> None:
    first, second, *_ = told(loser, winner, rules=rules)
    assert first.startswith(f"Now shows ‘{winner.subject}’")
    assert first.endswith("and the other one loses.")
    assert second.startswith(f"‘{loser.subject}’ (")
    assert second.endswith(f" loses because {sentence}")


EXCEPTIONS = PresenceRules(
    timezone="Europe/Berlin",
    mapping=ActivityMapping(tentative_exception=None, tentative=Activity.BUSY),
    tentative_exception_organizers=("hr@example.com",),
)


@pytest.mark.parametrize(
    ("appointment", "rules", "reason"),
    [
        (appoint("08:00", "09:00", cancelled=True), BERLIN, "it is cancelled"),
        (appoint("08:00", "09:00", response=Response.DECLINE), BERLIN, "the user has declined it"),
        (appoint("08:00", "08:00"), BERLIN, "it ends when or before it begins"),
        (appoint("08:00", "09:00", show_as=ShowAs.FREE), BERLIN, "it is marked as free"),
        (
            appoint("08:00", "09:00", show_as=ShowAs.TENTATIVE),
            BERLIN,
            "Tentative is mapped to ignore",
        ),
        (
            appoint("08:00", "09:00", show_as=ShowAs.TENTATIVE, organizer="HR@example.com"),
            EXCEPTIONS,
            "Tentative of its organizer, who is a tentative exception, is mapped to ignore",
        ),
        (appoint("04:00", "05:00"), BERLIN, "it was over at 07:00"),
    ],
)
def test_each_omission_has_its_sentence(appointment: Appointment, rules: PresenceRules, reason: str) -> None:
    sentence = told(appointment, rules=rules)[-1]
    assert sentence.startswith("‘Meeting’ (")
    assert sentence.endswith(f") does not count because {reason}.")


def test_an_exceptional_organizer_is_a_reason_to_show() -> None:
    rules = replace(EXCEPTIONS, mapping=ActivityMapping())
    meeting = appoint("05:00", "09:00", show_as=ShowAs.TENTATIVE, organizer="hr@example.com")
    sentence = told(meeting, rules=rules)[0]
    assert "as away" in sentence
    assert "Tentative of its organizer, who is a tentative exception, is mapped to away" in sentence


def test_several_losers_are_told_together_and_one_by_one() -> None:
    sentences = told(BASE, appoint("05:15", "09:00", "Second"), appoint("05:30", "09:00", "Third"))
    assert sentences[0].endswith("and the others lose.")
    assert sum("loses because" in sentence for sentence in sentences) == 2


@pytest.mark.parametrize(
    ("appointment", "rules", "called"),
    [
        (
            appoint("05:00", "09:00", "Doctor", sensitivity=Sensitivity.PRIVATE),
            BERLIN,
            "a private appointment",
        ),
        (
            appoint("05:00", "09:00", "Doctor"),
            PresenceRules(show_subject=False),
            "an appointment whose subject is not shown",
        ),
        (appoint("05:00", "09:00", "", id="1", rank=1), BERLIN, "an appointment whose subject is not shown"),
        (appoint("05:00", "09:00", " # ", id="1"), BERLIN, "an appointment without a subject"),
    ],
)
def test_what_is_hidden_is_called_otherwise(
    appointment: Appointment, rules: PresenceRules, called: str
) -> None:
    sentence = told(appointment, rules=rules)[0]
    assert f"Now shows {called} (" in sentence
    assert "Doctor" not in sentence


def test_an_instant_needs_a_zone() -> None:
    with pytest.raises(ValueError, match="without a time zone"):
        explain((), NOW.replace(tzinfo=None), BERLIN)


@given(draw_case())
def test_every_appointment_is_mentioned_exactly_once_for_each_of_its_fates(
    case: tuple[list[Appointment], datetime, PresenceRules],
) -> None:
    agenda, now, rules = case
    explanation = explain(agenda, now, rules)
    omitted = {a.id for a in agenda if find_omission(a, now, rules) is not None}
    assert sorted(sentence.appointment for sentence in explanation.omitted) == sorted(omitted)
    assert all(sentence.fate is Fate.OMITTED for sentence in explanation.omitted)
    mentioned: set[str] = set()
    segments = timeline(agenda, now, rules)
    assert [(e.start, e.end, e.activity) for e in explanation.episodes] == [
        (s.start, s.end, s.activity) for s in segments
    ]
    for episode, segment in zip(explanation.episodes, segments, strict=True):
        fates = Counter((sentence.appointment, sentence.fate) for sentence in episode.sentences)
        expected = [(segment.winner.id if segment.winner else "", Fate.SHOWS)]
        expected += [(rival.appointment.id, Fate.LOSES) for rival in segment.rivals]
        assert fates == Counter(expected)
        assert set(fates.values()) == {1}
        mentioned |= {appointment for appointment, _ in fates if appointment}
    assert mentioned == {a.id for a in agenda} - omitted


@given(draw_case())
def test_no_sentence_tells_a_hidden_subject(
    case: tuple[list[Appointment], datetime, PresenceRules],
) -> None:
    agenda, now, rules = case
    marked = [
        replace(appointment, subject=f"Geheim{number} {appointment.subject}")
        for number, appointment in enumerate(agenda)
    ]
    hidden = {
        f"Geheim{number}"
        for number, appointment in enumerate(marked)
        if appointment.sensitivity is not Sensitivity.NORMAL or not rules.show_subject
    }
    text = " ".join(told(*marked, rules=rules, now=now))
    assert not [word for word in hidden if word in text]


@given(draw_case())
def test_what_is_stored_gives_the_same_explanation_of_what_shows(
    case: tuple[list[Appointment], datetime, PresenceRules],
) -> None:
    agenda, now, rules = case
    stored = [redact(appointment, rules) for appointment in agenda]
    assert explain(stored, now, rules).episodes == explain(agenda, now, rules).episodes


@given(draw_case())
def test_sentences_are_lines_that_end_with_a_full_stop(
    case: tuple[list[Appointment], datetime, PresenceRules],
) -> None:
    agenda, now, rules = case
    for sentence in _sentences(explain(agenda, now, rules)):
        assert sentence.text.endswith(".")
        assert "\n" not in sentence.text
