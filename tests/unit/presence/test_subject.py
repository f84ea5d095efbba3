"""From subjects to titles, ranks, and what of them may be stored."""

from __future__ import annotations

import sys
import unicodedata
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.model import Response, Sensitivity, ShowAs
from shared.presence import PresenceRules, compose, redact
from shared.presence.subject import clean, find_rank, find_title
from tests.unit.presence.agendas import SUBJECTS, appoint, at
from tests.unit.presence.oracle import WHITE_SPACE


@pytest.mark.parametrize(
    "character", [chr(code) for code in (*range(0x20), *range(0x7F, 0xA1), 0x2028, 0x3000)]
)
def test_white_space_parts_words_and_other_controls_vanish(character: str) -> None:
    assert clean(f"a{character}b") == ("a b" if character in WHITE_SPACE else "ab")


def test_every_character_is_kept_spaced_or_removed_as_unicode_says() -> None:
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        if character in WHITE_SPACE:
            expected = "a b"
        elif unicodedata.category(character) in ("Cc", "Cs"):
            expected = "ab"
        else:
            expected = f"a{character}b"
        assert clean(f"a{character}b") == expected, hex(code)


@given(SUBJECTS)
def test_a_title_is_one_clean_line(subject: str) -> None:
    title = clean(subject)

    assert len(title) <= 128
    assert title == title.strip()
    assert "  " not in title
    assert not any(word.startswith("#") for word in title.split(" "))
    assert not any(unicodedata.category(character) in ("Cc", "Cs") for character in title)
    assert clean(title) == title
    title.encode()


@given(st.text("ab #\n", max_size=400))
def test_a_long_title_is_the_beginning_of_the_whole_one(subject: str) -> None:
    whole = " ".join(filter(None, (word.lstrip("#") for word in subject.split())))
    title = clean(subject)

    if len(whole) > 128:
        assert title == whole[:127].rstrip() + "…"
    else:
        assert title == whole


def test_the_private_word_hides_a_subject() -> None:
    rules = PresenceRules(language="fr")
    meeting = appoint("09:00", "10:00", "Dentist")

    assert find_title(meeting, rules) == "Dentist"
    assert find_title(replace(meeting, sensitivity=Sensitivity.CONFIDENTIAL), rules) == "Privé"
    assert find_title(meeting, replace(rules, show_subject=False)) == "Privé"


def test_a_subject_dropped_while_hidden_stays_private_when_the_rules_change() -> None:
    stored = redact(appoint("09:00", "10:00", "Dentist"), PresenceRules(show_subject=False))

    assert compose([stored], at("09:00"), PresenceRules()).note.startswith(
        "Private until 10:00 #busy #len:7:7"
    )


def test_a_subject_that_may_be_shown_is_shown_even_with_a_rank() -> None:
    assert find_title(appoint("09:00", "10:00", "Talk", rank=2), PresenceRules()) == "Talk"


@pytest.mark.parametrize(
    ("subject", "rank"),
    [("Talk", 1), ("a VACATION day", 2), ("on STRASSE", 2), ("lunch in vacation", 0), ("lunch", 0), ("", 1)],
)
def test_the_subject_ranks_an_appointment(subject: str, rank: int) -> None:
    rules = PresenceRules(prioritized=(" Vacation", "straße", ""), not_prioritized=("LUNCH ", " "))

    assert find_rank(appoint("09:00", "10:00", subject), rules) == rank


@pytest.mark.parametrize(
    ("rules", "rank"),
    [
        (PresenceRules(prioritized=("lunch",)), 2),
        (PresenceRules(not_prioritized=("lunch",)), 0),
        (PresenceRules(), 1),
    ],
)
def test_one_list_is_enough(rules: PresenceRules, rank: int) -> None:
    assert find_rank(appoint("09:00", "10:00", "Lunch"), rules) == rank


def test_a_kept_rank_is_the_rank() -> None:
    rules = PresenceRules(prioritized=("talk",))

    assert find_rank(appoint("09:00", "10:00", "Talk", rank=0), rules) == 0


def test_what_may_be_stored_has_no_hidden_subject_but_its_rank() -> None:
    rules = PresenceRules(prioritized=("dentist",))
    private = appoint("09:00", "10:00", "Dentist", sensitivity=Sensitivity.PRIVATE)
    normal = appoint("09:00", "10:00", "Talk")

    assert redact(private, rules) == replace(private, subject="", rank=2)
    assert redact(normal, rules) is normal
    assert redact(normal, replace(rules, show_subject=False)) == replace(normal, subject="", rank=1)


@pytest.mark.parametrize(
    "hidden",
    [
        {"cancelled": True},
        {"response": Response.DECLINE},
        {"show_as": ShowAs.FREE},
        {"show_as": ShowAs.TENTATIVE},
    ],
)
def test_what_may_be_stored_has_no_subject_where_the_appointment_never_shows(hidden: dict[str, Any]) -> None:
    appointment = appoint("09:00", "10:00", "Interview", **hidden)
    assert redact(appointment, PresenceRules()) == replace(appointment, subject="", rank=1)
