"""Agendas to test with: short ways to write one by hand, and strategies that draw them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from shared.model import Activity, Appointment, Response, Sensitivity, ShowAs
from shared.presence import ActivityMapping, PresenceRules, languages

BERLIN = PresenceRules(timezone="Europe/Berlin")


def at(text: str) -> datetime:
    """Read ``2017-08-21T06:00`` as UTC, and ``06:00`` as that time on 21 August 2017."""
    if "T" not in text:
        text = "2017-08-21T" + text
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def appoint(start: str, end: str, subject: str = "Meeting", **others: Any) -> Appointment:
    """Write an appointment; its id is its subject unless another is given."""
    return Appointment(others.pop("id", subject), at(start), at(end), subject, **others)


_WORDS = st.sampled_from(
    [
        "Meeting",
        "Übergabe",
        "🎉",
        "👩\u200d👧",
        "שלום",
        "\u202e",
        "#free",
        "#until:1",
        "##len:3:3",
        "(Busy:",
        ")",
    ]
)
_SPACES = st.sampled_from(
    [" ", "  ", "\t", "\n", "\u00a0", "\u2028", "\u3000", "\x1c", "\x85", "\x00", "#", ""]
)
_HOSTILE = st.lists(st.one_of(_WORDS, _SPACES), max_size=8).map("".join)
SUBJECTS = st.one_of(
    _HOSTILE,
    st.text(st.characters(exclude_categories=()), max_size=20),
    st.builds(lambda part, times: part * times, _HOSTILE, st.integers(1, 60)),
)

# Around both changes of the clocks in Europe, across midnights, on a grid on which boundaries often meet.
BASES = st.sampled_from([at("2026-03-28T00:00"), at("2026-10-24T00:00"), at("2017-12-31T00:00")])
_QUARTER = timedelta(minutes=15)
_ZONES = st.sampled_from(
    ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Pacific/Kiritimati", "America/Sao_Paulo"]
)
_ACTIVITIES = st.sampled_from([None, *Activity])


@st.composite
def draw_rules(draw: st.DrawFn) -> PresenceRules:
    """Draw rules of every kind."""
    words = st.lists(st.sampled_from(["meet", " ÜBER", "🎉", "", "free"]), max_size=2).map(tuple)
    return PresenceRules(
        language=draw(st.sampled_from(list(languages))),
        timezone=draw(_ZONES),
        show_subject=draw(st.integers(0, 4)) > 0,
        until_unit=draw(st.sampled_from(["ms", "s"])),
        mapping=draw(
            st.one_of(
                st.just(ActivityMapping()),
                st.builds(ActivityMapping, *[_ACTIVITIES] * 6),
            )
        ),
        tentative_exception_organizers=draw(
            st.sampled_from([(), ("hr@example.com",), ("HR@example.com", " ")])
        ),
        prioritized=draw(words),
        not_prioritized=draw(words),
    )


@st.composite
def draw_appointment(draw: st.DrawFn, base: datetime, number: int) -> Appointment:
    """Draw one appointment within three days of ``base``."""
    all_day = draw(st.integers(0, 3)) == 0
    if all_day:
        offset = timedelta(hours=draw(st.sampled_from([-9, -1, 0, 2, 5, 12])))
        start = base + timedelta(days=draw(st.integers(-1, 2))) + offset
        end = start + timedelta(days=draw(st.integers(0, 3)))
    else:
        start = base + _QUARTER * draw(st.integers(-24, 240))
        end = start + _QUARTER * draw(st.integers(-1, 120))
    return Appointment(
        id=str(number),
        subject=draw(SUBJECTS),
        start=start,
        end=end,
        all_day=all_day,
        show_as=draw(st.sampled_from([ShowAs.BUSY, ShowAs.BUSY, *ShowAs])),
        sensitivity=draw(st.sampled_from([*[Sensitivity.NORMAL] * 4, *Sensitivity])),
        organizer=draw(st.sampled_from(["", "hr@example.com", "Hr@Example.com", "x@example.com"])),
        cancelled=draw(st.integers(0, 9)) == 0,
        response=draw(st.sampled_from([*[Response.ACCEPT] * 4, *Response])),
    )


@st.composite
def draw_case(draw: st.DrawFn, most: int = 7) -> tuple[list[Appointment], datetime, PresenceRules]:
    """Draw an agenda, an instant within it and rules."""
    base = draw(BASES)
    agenda = [draw(draw_appointment(base, number)) for number in range(draw(st.integers(0, most)))]
    now = base + _QUARTER * draw(st.integers(0, 192))
    return agenda, now, draw(draw_rules())
