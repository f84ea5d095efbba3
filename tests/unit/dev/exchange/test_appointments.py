"""What a calendar holds in a window, across changes of the clocks and exceptions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from dev.exchange.appointments import write_instant, zone_named
from dev.exchange.mailboxes import Directory, Mailbox, read_mailbox, write_mailbox


def mailbox(*appointments: dict[str, Any], zone: str = "Europe/Berlin") -> Mailbox:
    return read_mailbox({"address": "anna@example.com", "zone": zone, "appointments": appointments})


def view(box: Mailbox, start: str, end: str) -> list[tuple[str, str]]:
    first, last = (datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (start, end))
    entries = sorted(box.expand(first, last), key=lambda entry: entry.start)
    return [(write_instant(entry.start), write_instant(entry.end)) for entry in entries]


@pytest.mark.parametrize(
    ("start", "end", "included"),
    [
        ("2026-11-22T10:00", "2026-11-22T11:00", True),
        ("2026-11-22T10:59", "2026-11-22T12:00", True),
        ("2026-11-22T11:00", "2026-11-22T12:00", False),
        ("2026-11-22T09:00", "2026-11-22T10:00", False),
        ("2026-11-22T09:00", "2026-11-22T10:01", True),
        ("2026-11-22T10:20", "2026-11-22T10:40", True),
    ],
)
def test_what_overlaps_the_window_is_in_it(start: str, end: str, included: bool) -> None:
    box = mailbox({"start": "2026-11-22T10:00Z", "end": "2026-11-22T11:00Z"})
    assert bool(view(box, start, end)) is included


def test_an_appointment_without_length_belongs_where_it_begins() -> None:
    box = mailbox({"start": "2026-11-22T10:00Z", "end": "2026-11-22T10:00Z"})
    assert view(box, "2026-11-22T10:00", "2026-11-22T11:00")
    assert not view(box, "2026-11-22T09:00", "2026-11-22T10:00")


def test_a_series_keeps_its_time_of_day_when_the_clocks_change() -> None:
    box = mailbox({"start": "2026-10-24T09:00", "end": "2026-10-24T10:00", "repeat": {"every": "day"}})
    assert view(box, "2026-10-24T00:00", "2026-10-26T00:00") == [
        ("2026-10-24T07:00:00Z", "2026-10-24T08:00:00Z"),
        ("2026-10-25T08:00:00Z", "2026-10-25T09:00:00Z"),
    ]
    assert view(box, "2027-03-27T00:00", "2027-03-29T00:00") == [
        ("2027-03-27T08:00:00Z", "2027-03-27T09:00:00Z"),
        ("2027-03-28T07:00:00Z", "2027-03-28T08:00:00Z"),
    ]


def test_a_night_of_a_series_is_an_hour_longer_when_the_clocks_go_back() -> None:
    box = mailbox({"start": "2026-10-20T22:00", "end": "2026-10-21T06:00", "repeat": {"every": "day"}})
    assert view(box, "2026-10-24T21:00", "2026-10-25T01:00") == [
        ("2026-10-24T20:00:00Z", "2026-10-25T05:00:00Z")
    ]


def test_a_series_lives_in_its_creators_zone_not_in_the_mailboxs() -> None:
    box = mailbox({"start": "2026-10-30T09:00", "zone": "America/New_York", "repeat": {"every": "day"}})
    starts = [start for start, _ in view(box, "2026-10-31T00:00", "2026-11-02T00:00")]
    assert starts == ["2026-10-31T13:00:00Z", "2026-11-01T14:00:00Z"]


def test_a_time_that_the_clocks_skip_is_shown_an_hour_later() -> None:
    box = mailbox({"start": "2027-03-27T02:30", "repeat": {"every": "day"}})
    starts = [start for start, _ in view(box, "2027-03-28T00:00", "2027-03-29T00:00")]
    assert starts == ["2027-03-28T01:30:00Z"]


@pytest.mark.parametrize(
    ("zone", "day", "expected"),
    [
        ("Europe/Berlin", "2026-11-22", ("2026-11-21T23:00:00Z", "2026-11-22T23:00:00Z")),
        ("Europe/Berlin", "2026-10-25", ("2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z")),
        ("Europe/Berlin", "2026-03-29", ("2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z")),
        ("Pacific/Auckland", "2026-11-22", ("2026-11-21T11:00:00Z", "2026-11-22T11:00:00Z")),
        ("America/Los_Angeles", "2026-11-22", ("2026-11-22T08:00:00Z", "2026-11-23T08:00:00Z")),
    ],
)
def test_an_all_day_item_is_midnight_of_its_creators_zone(
    zone: str, day: str, expected: tuple[str, str]
) -> None:
    box = mailbox({"start": day, "all_day": True, "zone": zone})
    assert view(box, "2026-03-01T00:00", "2026-12-01T00:00") == [expected]


@pytest.mark.parametrize("day", ["2026-10-25", "2026-03-29", "2026-03-28", "2026-10-24"])
def test_an_all_day_item_moved_across_a_change_of_the_clocks_stays_as_many_days(day: str) -> None:
    box = mailbox({"start": "2026-06-01", "end": "2026-06-03", "all_day": True})
    box.change("1", {"start": day})
    moved = box.find("1")
    zone = zone_named("Europe/Berlin")
    begins, ends = moved.start.astimezone(zone), moved.end.astimezone(zone)
    assert begins.isoformat().startswith(f"{day}T00:00:00")
    assert (ends.date() - begins.date()).days == 2
    assert ends.hour == 0


def test_an_all_day_item_given_with_times_is_rounded_to_whole_days() -> None:
    box = mailbox({"start": "2026-11-22T10:00", "end": "2026-11-23T10:00", "all_day": True})
    assert view(box, "2026-11-22T00:00", "2026-11-23T00:00") == [
        ("2026-11-21T23:00:00Z", "2026-11-23T23:00:00Z")
    ]


SERIES = {
    "start": "2026-11-16T09:00",
    "end": "2026-11-16T10:00",
    "subject": "Stand-up",
    "repeat": {"every": "day"},
    "exceptions": [
        {"day": "2026-11-20", "start": "2026-11-23T15:00"},
        {"day": "2026-11-21", "deleted": True},
        {"day": "2026-11-22", "subject": "Long one", "end": "2026-11-22T12:00"},
    ],
}


def test_a_deleted_occurrence_is_gone_and_a_moved_one_is_where_it_went() -> None:
    box = mailbox(SERIES)
    assert view(box, "2026-11-20T00:00", "2026-11-22T00:00") == []
    assert view(box, "2026-11-23T00:00", "2026-11-24T00:00") == [
        ("2026-11-23T08:00:00Z", "2026-11-23T09:00:00Z"),
        ("2026-11-23T14:00:00Z", "2026-11-23T15:00:00Z"),
    ]


def test_a_changed_occurrence_is_an_exception_and_keeps_its_name() -> None:
    box = mailbox(SERIES)
    first, last = datetime(2026, 11, 22, tzinfo=UTC), datetime(2026, 11, 23, tzinfo=UTC)
    (entry,) = box.expand(first, last)
    assert (entry.reference, entry.kind) == ("1@2026-11-22", "Exception")
    assert entry.appointment.subject == "Long one"
    assert write_instant(entry.end) == "2026-11-22T11:00:00Z"


def test_an_occurrence_moved_twice_keeps_what_was_changed_before() -> None:
    box = mailbox({"start": "2026-11-16T09:00", "repeat": {"every": "day"}})
    box.change("1@2026-11-18", {"subject": "Special"})
    entry = box.change("1@2026-11-18", {"start": "2026-11-18T16:00"})
    assert entry.appointment.subject == "Special"
    assert view(box, "2026-11-18T00:00", "2026-11-19T00:00") == [
        ("2026-11-18T15:00:00Z", "2026-11-18T15:30:00Z")
    ]


def test_a_cancelled_appointment_series_or_occurrence_leaves_the_calendar() -> None:
    box = mailbox({"start": "2026-11-16T09:00", "repeat": {"every": "day"}}, {"start": "2026-11-16T11:00"})
    box.cancel("2")
    box.cancel("1@2026-11-17")
    assert len(view(box, "2026-11-16T00:00", "2026-11-19T00:00")) == 2
    with pytest.raises(KeyError):
        box.cancel("1@2026-11-17")
    box.cancel("1")
    assert view(box, "2026-11-16T00:00", "2026-11-19T00:00") == []


@pytest.mark.parametrize(
    "reference", ["3", "x", "1@2026-11-15", "2@2026-11-16", "1@nonsense", "", "deleted-1"]
)
def test_unknown_references_are_refused(reference: str) -> None:
    box = mailbox({"start": "2026-11-16T09:00", "repeat": {"every": "day"}}, {"start": "2026-11-16T11:00"})
    with pytest.raises(KeyError):
        box.find(reference)


def test_occurrences_are_found_by_their_day_in_far_zones() -> None:
    for zone in ("Pacific/Kiritimati", "Pacific/Pago_Pago"):
        box = mailbox({"start": "2026-11-16T00:10", "zone": zone, "repeat": {"every": "day"}})
        assert box.find("1@2026-11-18").reference == "1@2026-11-18"


def test_moving_the_start_keeps_the_length() -> None:
    box = mailbox({"start": "2026-11-22T10:00Z", "end": "2026-11-22T10:45Z"})
    box.change("1", {"start": "2026-11-22T12:00Z"})
    assert view(box, "2026-11-22T00:00", "2026-11-23T00:00") == [
        ("2026-11-22T12:00:00Z", "2026-11-22T12:45:00Z")
    ]


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        ({}, "start: is required"),
        ({"start": "soon"}, "'soon' is no ISO date"),
        ({"start": "2026-11-22T10:00", "end": "2026-11-22T09:00"}, "before the start"),
        ({"start": "2026-11-22T10:00", "show_as": "OOF"}, "show_as: 'OOF' is none of free"),
        ({"start": "2026-11-22T10:00", "sensitivity": "secret"}, "sensitivity"),
        ({"start": "2026-11-22T10:00", "response": "maybe"}, "response"),
        ({"start": "2026-11-22T10:00", "zone": "Berlin"}, "no IANA time zone"),
        ({"start": "2026-11-22T10:00", "colour": "red"}, "unknown colour"),
        ({"start": "2026-11-22T10:00", "omit": ["id"]}, "omit: id"),
        ({"start": "2026-11-22T10:00", "exceptions": [{"day": "2026-11-22"}]}, "only a series"),
        (
            {
                "start": "2026-11-22T10:00",
                "repeat": {"every": "week"},
                "exceptions": [{"day": "2026-11-23"}],
            },
            "does not take place on 2026-11-23",
        ),
    ],
)
def test_wrong_appointments_are_named(data: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        mailbox(data)


def test_a_mailbox_survives_being_written_and_read() -> None:
    box = mailbox(SERIES, {"start": "2026-11-22", "all_day": True, "show_as": "free", "omit": ["uid"]})
    again = read_mailbox(write_mailbox(box))
    assert write_mailbox(again) == write_mailbox(box)
    window = ("2026-11-01T00:00", "2026-12-01T00:00")
    assert view(again, *window) == view(box, *window)


@pytest.mark.parametrize(
    ("seed", "complaint"),
    [
        ({"address": "anna"}, "no e-mail address"),
        ({"address": "a@b.c", "type": "Robot"}, "type"),
        ({"address": "a@b.c", "zone": "Nowhere"}, "zone"),
        ({"address": "a@b.c", "nick": "A"}, "unknown nick"),
    ],
)
def test_wrong_mailboxes_are_named(seed: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        read_mailbox(seed)


def test_a_mailbox_is_found_by_address_alias_or_unique_local_part() -> None:
    directory = Directory()
    for address, aliases in (("anna@example.com", ["a.miller@example.com"]), ("anna@example.org", [])):
        directory.put(read_mailbox({"address": address, "aliases": aliases}))
    assert directory.named("ANNA@example.org").address == "anna@example.org"
    assert directory.named("a.miller").address == "anna@example.com"
    with pytest.raises(KeyError, match="not unique"):
        directory.named("anna")
    with pytest.raises(KeyError, match="no mailbox"):
        directory.named("ann")
