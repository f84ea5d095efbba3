"""The table of languages."""

from __future__ import annotations

from datetime import date, time

import pytest

from shared.model import Activity
from shared.presence import Language, languages


def test_every_language_is_listed_once_under_its_code() -> None:
    assert " ".join(languages) == "en en-GB en-US de fr it es nl pt pl cs ru sl sv ca eu"
    assert [language.code for language in languages.values()] == list(languages)


def test_every_language_has_a_name_of_its_own_for_lists() -> None:
    assert len({language.name for language in languages.values()}) == len(languages)
    assert languages["de"].name == "Deutsch"


@pytest.mark.parametrize("language", languages.values(), ids=list(languages))
def test_dnd_has_the_word_of_busy(language: Language) -> None:
    words = language.words

    assert words[Activity.DND] == words[Activity.BUSY]
    assert len(set(words.values())) == 3


@pytest.mark.parametrize("language", languages.values(), ids=list(languages))
def test_until_joins_a_text_and_a_time(language: Language) -> None:
    assert f"Text{language.joint}14:00{language.tail}" == language.until.format("Text", "14:00")


def test_dates_have_all_their_digits() -> None:
    assert languages["de"].write_date(date(987, 3, 1)) == "01.03.0987"
    assert languages["fr"].write_date(date(2017, 12, 24)) == "24/12/2017"
    assert languages["en-US"].write_date(date(2017, 12, 24)) == "12/24/2017"


@pytest.mark.parametrize(
    ("clock", "shown"),
    [
        (time(0, 0), "12:00 a.m."),
        (time(0, 59, 59), "12:59 a.m."),
        (time(1, 0), "01:00 a.m."),
        (time(11, 59), "11:59 a.m."),
        (time(12, 0), "12:00 p.m."),
        (time(13, 5), "01:05 p.m."),
        (time(23, 59), "11:59 p.m."),
    ],
)
def test_the_american_clock_has_12_hours(clock: time, shown: str) -> None:
    assert languages["en-US"].write_time(clock) == shown
    assert languages["en-GB"].write_time(clock) == f"{clock.hour:02}:{clock.minute:02}"


def test_a_language_of_ones_own_is_joined_and_worded_like_the_others() -> None:
    latin = Language(
        "la", "Latina", "Liber", "Occupatus", "Absens", "Privatum", "{0} ante {1} h", "yyyy-MM-dd"
    )

    assert (latin.joint, latin.tail) == (" ante ", " h")
    assert latin.words == {
        Activity.AVAILABLE: "Liber",
        Activity.BUSY: "Occupatus",
        Activity.AWAY: "Absens",
        Activity.DND: "Occupatus",
    }
    assert latin.clock == 24
    assert latin.write_date(date(2017, 8, 9)) == "2017-08-09"
