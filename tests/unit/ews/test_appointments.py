from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.errors import ExchangeBusy, ExchangeError, MailboxError
from shared.ews.appointments import (
    CalendarItem,
    agenda_of,
    halves,
    parse_found_items,
    parse_instant,
    parse_organizers,
)
from shared.model import Appointment, Response, Sensitivity, ShowAs
from tests.unit.ews import messages

CALM = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

START = datetime(2017, 8, 21, 8, 30, tzinfo=UTC)


def only(body: bytes) -> CalendarItem:
    (item,) = parse_found_items(body).items
    return item


def read(more: str) -> Appointment:
    return only(messages.found_items(messages.item(more=more))).appointment


def test_reads_every_property() -> None:
    more = (
        "<t:Sensitivity>Confidential</t:Sensitivity><t:IsAllDayEvent>true</t:IsAllDayEvent>"
        "<t:LegacyFreeBusyStatus> OOF </t:LegacyFreeBusyStatus><t:IsCancelled>1</t:IsCancelled>"
        "<t:CalendarItemType>Occurrence</t:CalendarItemType><t:MyResponseType>Decline</t:MyResponseType>"
        + messages.organizer("Boss", "boss@example.com", "SMTP")
    )
    item = only(messages.found_items(messages.item(subject=" A  &  B ", more=more)))
    assert (item.item_id, item.uid) == ("item-1", "uid-1")
    assert item.appointment == Appointment(
        id=item.appointment.id,
        start=START,
        end=START + timedelta(hours=1),
        subject=" A  &  B ",
        all_day=True,
        show_as=ShowAs.OUT_OF_OFFICE,
        sensitivity=Sensitivity.CONFIDENTIAL,
        organizer="boss@example.com",
        organizer_name="Boss",
        cancelled=True,
        response=Response.DECLINE,
    )


def test_everything_but_start_and_end_may_be_missing() -> None:
    body = messages.found_items(messages.item(subject="", uid="", item_id=""))
    found = parse_found_items(body)
    (item,) = found.items
    assert (item.uid, item.item_id) == ("", "")
    assert item.appointment == Appointment(
        id=item.appointment.id,
        start=START,
        end=START + timedelta(hours=1),
        show_as=ShowAs.NO_DATA,
        sensitivity=Sensitivity.NORMAL,
        response=Response.UNKNOWN,
    )
    assert (found.skipped, found.unknown) == (0, 0)


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("Free", ShowAs.FREE),
        ("Tentative", ShowAs.TENTATIVE),
        ("Busy", ShowAs.BUSY),
        ("OOF", ShowAs.OUT_OF_OFFICE),
        ("WorkingElsewhere", ShowAs.WORKING_ELSEWHERE),
        ("NoData", ShowAs.NO_DATA),
    ],
)
def test_knows_every_show_as(word: str, value: ShowAs) -> None:
    assert read(f"<t:LegacyFreeBusyStatus>{word}</t:LegacyFreeBusyStatus>").show_as is value


@pytest.mark.parametrize("value", list(Sensitivity))
def test_knows_every_sensitivity(value: Sensitivity) -> None:
    assert read(f"<t:Sensitivity>{value.capitalize()}</t:Sensitivity>").sensitivity is value


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("Unknown", Response.UNKNOWN),
        ("Organizer", Response.ORGANIZER),
        ("Tentative", Response.TENTATIVE),
        ("Accept", Response.ACCEPT),
        ("Decline", Response.DECLINE),
        ("NoResponseReceived", Response.NO_RESPONSE),
    ],
)
def test_knows_every_response(word: str, value: Response) -> None:
    assert read(f"<t:MyResponseType>{word}</t:MyResponseType>").response is value


def test_reads_unknown_values_cautiously_and_counts_them() -> None:
    more = (
        "<t:LegacyFreeBusyStatus>Lunch</t:LegacyFreeBusyStatus><t:Sensitivity>Secret</t:Sensitivity>"
        "<t:MyResponseType>Perhaps</t:MyResponseType>"
    )
    found = parse_found_items(messages.found_items(messages.item(more=more)))
    appointment = found.items[0].appointment
    assert (appointment.show_as, appointment.sensitivity, appointment.response) == (
        ShowAs.NO_DATA,
        Sensitivity.PRIVATE,
        Response.UNKNOWN,
    )
    assert found.unknown == 3


@pytest.mark.parametrize(
    "organizer",
    [
        messages.organizer("Boss"),
        messages.organizer("Boss", "/o=First/ou=Exchange/cn=Recipients/cn=boss", "EX"),
        messages.organizer("Boss", "boss@example.com"),
    ],
)
def test_trusts_an_organizers_address_of_smtp_only(organizer: str) -> None:
    appointment = read(organizer)
    assert (appointment.organizer, appointment.organizer_name) == ("", "Boss")


def test_skips_and_counts_items_without_a_time_and_masters_of_series() -> None:
    found = parse_found_items(
        messages.found_items(
            messages.item(end=""),
            messages.item(start=""),
            messages.item(start="tomorrow"),
            messages.item(more="<t:CalendarItemType>RecurringMaster</t:CalendarItemType>"),
            messages.item(uid="kept"),
            "<t:Message><t:Start>2017-08-21T08:30:00Z</t:Start></t:Message>",
        )
    )
    assert [item.uid for item in found.items] == ["kept"]
    assert found.skipped == 4


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2017-08-21T08:30:00Z", START),
        ("2017-08-21T08:30:00", START),
        (" 2017-08-21T10:30:00+02:00\n", START),
        ("2017-08-20T20:30:00-12:00", START),
        ("2017-08-21T08:30:00.5Z", START + timedelta(milliseconds=500)),
        ("2017-08-21T08:30:00.1234567+00:00", START + timedelta(microseconds=123456)),
        ("2017-08-21", None),
        ("20170821T083000Z", None),
        ("2017-13-21T08:30:00Z", None),
        ("2017-08-21T08:30:00+2:00", None),
        ("2017-08-21T08:30:00 Z", None),
        ("٢٠١٧-08-21T08:30:00Z", None),
        ("0001-01-01T00:00:00+01:00", None),
        ("9999-12-31T23:59:59-01:00", None),
        ("", None),
    ],
)
def test_reads_instants(text: str, instant: datetime | None) -> None:
    assert parse_instant(text) == instant


@CALM
@given(
    st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2200, 1, 1)),  # noqa: DTZ001
    st.integers(-14 * 60, 14 * 60),
)
def test_reads_what_isoformat_writes(moment: datetime, minutes: int) -> None:
    aware = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    assert parse_instant(aware.isoformat()) == aware


@pytest.mark.parametrize(("attribute", "complete"), [(True, True), (False, False), (None, True)])
def test_says_whether_the_answer_was_cut_off(attribute: bool | None, complete: bool) -> None:
    assert parse_found_items(messages.found_items(complete=attribute)).complete is complete


def test_one_cut_off_part_of_an_answer_cuts_off_the_whole() -> None:
    part = '<m:RootFolder IncludesLastItemInRange="{}"><t:Items/></m:RootFolder>'
    parts = [messages.answer("FindItem", part.format(value)) for value in ("false", "true")]
    assert not parse_found_items(messages.response("FindItem", *parts)).complete


def test_reads_an_empty_calendar_and_the_version() -> None:
    found = parse_found_items(messages.found_items())
    assert (found.items, found.server_version) == ((), "15.2.1544.4")


def test_raises_what_exchange_reports() -> None:
    for body in (messages.refusal("FindItem", "ErrorAccessDenied"), messages.fault("ErrorAccessDenied")):
        with pytest.raises(MailboxError) as caught:
            parse_found_items(body)
        assert caught.value.code == "ErrorAccessDenied"


def test_an_answer_without_a_folder_is_no_empty_calendar() -> None:
    with pytest.raises(ExchangeError, match="no folder"):
        parse_found_items(messages.response("FindItem", messages.answer("FindItem")))


def ids(*items: str) -> list[str]:
    return [item.appointment.id for item in agenda_of(parse_found_items(messages.found_items(*items)).items)]


def test_an_id_follows_uid_and_start_alone() -> None:
    (first,) = ids(messages.item())
    assert ids(messages.item(item_id="other", subject="Moved", end="2017-08-21T12:00:00Z")) == [first]
    assert ids(messages.item(start="2017-08-21T10:30:00+02:00")) == [first]
    assert ids(messages.item(uid="other")) != [first]
    assert ids(messages.item(start="2017-08-21T08:31:00Z")) != [first]
    assert "uid" not in first
    assert len(first) == 32


def test_an_id_falls_back_to_the_item_id_and_then_to_the_times() -> None:
    (first,) = ids(messages.item(uid=""))
    assert ids(messages.item(uid="", subject="Other")) == [first]
    assert ids(messages.item(uid="", item_id="other")) != [first]
    assert len(set(ids(messages.item(uid="", item_id=""), messages.item(uid="", item_id="x")))) == 2
    later = messages.item(uid="", item_id="", end="2017-08-21T10:00:00Z")
    assert len(ids(messages.item(uid="", item_id=""), later)) == 2


def test_occurrences_of_a_series_stay_apart() -> None:
    second = messages.item("2017-08-22T08:30:00Z", "2017-08-22T09:30:00Z", item_id="item-2")
    assert len(set(ids(messages.item(), second))) == 2


@CALM
@given(st.permutations([messages.item(item_id=name, subject=name) for name in ("a", "b", "c")]))
def test_doubles_of_a_meeting_keep_ids_of_their_own_in_any_order(order: list[str]) -> None:
    agenda = agenda_of(parse_found_items(messages.found_items(*order, *order)).items)
    expected = ids(*(messages.item(item_id=name) for name in "abc"))
    assert len(set(expected)) == 3
    assert [item.appointment.id for item in agenda] == expected
    by_name = {item.item_id: item.appointment.id for item in agenda}
    assert by_name["a"] == ids(messages.item())[0]


def test_an_agenda_is_in_order_of_time() -> None:
    late = messages.item("2017-08-21T18:00:00Z", "2017-08-21T19:00:00Z", uid="late")
    found = parse_found_items(messages.found_items(late, messages.item()))
    assert [item.uid for item in agenda_of(found.items)] == ["uid-1", "late"]


def test_halves_meet_at_a_whole_second() -> None:
    end = START + timedelta(hours=3, seconds=1)
    assert halves(START, end) == (
        (START, START + timedelta(hours=1, minutes=30)),
        (START + timedelta(hours=1, minutes=30), end),
    )


def test_reads_organizers_in_the_order_asked_for() -> None:
    body = messages.organizers(
        messages.organizer("A", "a@example.com", "SMTP"),
        messages.organizer("B", "/o=x", "EX"),
        messages.answer("GetItem", code="ErrorItemNotFound", kind="Error"),
        messages.organizer("D", "d@example.com", "smtp"),
    )
    assert parse_organizers(body, ["1", "2", "3", "4"]) == {"1": "a@example.com", "4": "d@example.com"}


def test_organizers_of_another_number_of_items_are_nobodys() -> None:
    with pytest.raises(MailboxError, match="number"):
        parse_organizers(messages.organizers(messages.organizer()), ["1", "2"])


def test_a_busy_signal_among_organizers_counts_for_all() -> None:
    body = messages.organizers(messages.answer("GetItem", code="ErrorServerBusy", kind="Error"))
    with pytest.raises(ExchangeBusy):
        parse_organizers(body, ["1"])
