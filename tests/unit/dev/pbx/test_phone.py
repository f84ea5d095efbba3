"""What a display shows of a note."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dev.pbx import Viewer

MORNING = datetime(2017, 8, 21, 6, tzinfo=UTC)
ENGLISH, GERMAN = Viewer("en", "Europe/Berlin"), Viewer("de", "Europe/Berlin")
FREE = "Free until 10:30 (Busy: Meeting) #free #until:1503304200000 #next-activity:busy #next:24:7:24:7"


@pytest.mark.parametrize(
    ("note", "sentence"),
    [
        ("", ""),
        ("Free", "Free"),
        ("At the dentist, back ##1", "At the dentist, back #1"),
        (FREE, "Frei bis 10:30 (Beschäftigt: Meeting)"),
        ("Sprint 4 until 12:30 #busy #len:8:8 #until:1503311400000", "Sprint 4 bis 12:30"),
        ("Sprint 4 until 12:30 #busy #len:8 #until:1503311400", "Sprint 4 bis 12:30"),
        ("Busy until 12:30 #busy #until:1503311400000", "Beschäftigt bis 12:30"),
        ("Nap until 22.08.2017 07:00 #away #len:3:3 #until:1503378000000", "Nap bis 22.08.2017 07:00"),
        ("Yule until 27.12.2017 #busy #len:4:4 #until:1514329200000 #whole-day", "Yule bis 27.12.2017"),
        (
            "Free until 15:30 (Away) #free #until:1503322200000 #next-activity:away",
            "Frei bis 15:30 (Abwesend)",
        ),
        (
            "🎉 1 until 9 (x) #free #len:3:6 #until:1503304200000 #next-activity:free #next:13:1",
            "🎉 1 bis 10:30 (x)",
        ),
        ("#busy #away #free", "Frei"),
        ("#busy #len:x #until:never", "Beschäftigt"),
        ("Odd #until:999999999999999999", "Odd"),
    ],
)
def test_a_german_display_shows(note: str, sentence: str) -> None:
    assert GERMAN.read(note, MORNING) == sentence


def test_language_and_zone_are_the_viewers() -> None:
    assert ENGLISH.read(FREE, MORNING) == "Free until 10:30 (Busy: Meeting)"
    assert Viewer("en", "America/New_York").read(FREE, MORNING) == "Free until 04:30 (Busy: Meeting)"


def test_the_date_is_shown_unless_it_is_today_where_the_viewer_is() -> None:
    late = datetime(2017, 8, 20, 21, tzinfo=UTC)  # 20 August in Berlin, at eleven in the evening
    assert GERMAN.read("x #busy #until:1503304200000", late) == "Beschäftigt bis 21.08.2017 10:30"
    assert GERMAN.read("x #busy #until:1503304200000", MORNING) == "Beschäftigt bis 10:30"


@given(st.text(alphabet="#:0123456789 anextlubsywi-fr\u00e4", max_size=60))
def test_no_note_breaks_a_display(note: str) -> None:
    assert isinstance(GERMAN.read(note, MORNING), str)


@pytest.mark.parametrize("viewer", [("fr", "UTC"), ("en", "Mars/Base")])
def test_an_unknown_language_or_zone_is_refused(viewer: tuple[str, str]) -> None:
    with pytest.raises(KeyError):
        Viewer(*viewer)
