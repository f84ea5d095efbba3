"""What was read of a calendar, stored whole and by one writer at a time."""

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.errors import StateConflict
from shared.model import Agenda, Appointment, Response, Sensitivity, ShowAs
from shared.state.agendas import AgendaStore
from shared.state.storage import Storage

pytestmark = pytest.mark.integration

NOW = datetime(2026, 11, 22, 12, 0, 0, 123456, tzinfo=UTC)
HOUR = timedelta(hours=1)
ANNA, BERND = "a" * 32, "b" * 32


@pytest.fixture
def agendas(storage: Storage) -> AgendaStore:
    return AgendaStore(storage)


def agenda_of(*appointments: Appointment) -> Agenda:
    return Agenda(appointments, read_at=NOW, window_end=NOW + 48 * HOUR, version=1)


def appoint(number: int, subject: str = "Meeting") -> Appointment:
    start = NOW + number * timedelta(minutes=1)
    return Appointment(f"id-{number}", start, start + HOUR, subject)


async def test_who_was_never_read_has_none(agendas: AgendaStore) -> None:
    assert await agendas.get(ANNA) is None


async def test_every_field_comes_back(agendas: AgendaStore) -> None:
    appointment = Appointment(
        id="AAMkAD/+=",
        start=NOW,
        end=NOW + HOUR,
        subject='Übergabe 👩\u200d👧 \ud83d \x00 "quoted" \\ \' \u2028',
        all_day=True,
        show_as=ShowAs.OUT_OF_OFFICE,
        sensitivity=Sensitivity.CONFIDENTIAL,
        organizer="hr@example.com",
        organizer_name="Jörg Straßer",
        cancelled=True,
        response=Response.TENTATIVE,
        rank=2,
    )
    plain = appoint(0)
    changed = [name.name for name in fields(Appointment) if name.name not in ("start", "end")]
    assert all(getattr(appointment, name) != getattr(plain, name) for name in changed)
    stored = await agendas.save(ANNA, replace(agenda_of(appointment), version=2**40, due_at=NOW + HOUR))
    assert stored.etag
    assert await agendas.get(ANNA) == stored
    assert stored == Agenda((appointment,), NOW, NOW + 48 * HOUR, 2**40, NOW + HOUR, stored.etag)


async def test_an_agenda_may_be_empty(agendas: AgendaStore) -> None:
    stored = await agendas.save(ANNA, agenda_of())
    assert await agendas.get(ANNA) == stored
    assert stored.appointments == ()
    assert stored.due_at is None


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)
@given(st.lists(st.text(st.characters(exclude_categories=()), max_size=40), max_size=5))
async def test_no_subject_is_changed(agendas: AgendaStore, subjects: list[str]) -> None:
    await agendas.remove(ANNA)
    appointments = tuple(appoint(number, subject) for number, subject in enumerate(subjects))
    await agendas.save(ANNA, agenda_of(*appointments))
    stored = await agendas.get(ANNA)
    assert stored
    assert stored.appointments == appointments


async def test_a_big_agenda_is_stored_whole(agendas: AgendaStore) -> None:
    appointments = tuple(appoint(number, "😀" * 20) for number in range(800))
    await agendas.save(ANNA, agenda_of(*appointments))
    stored = await agendas.get(ANNA)
    assert stored
    assert stored.appointments == appointments


async def test_of_more_than_a_record_holds_the_latest_are_cut_off(agendas: AgendaStore) -> None:
    appointments = [appoint(number, "x" * 1000) for number in range(600)]
    await agendas.save(ANNA, agenda_of(*reversed(appointments)))
    stored = await agendas.get(ANNA)
    assert stored
    count = len(stored.appointments)
    assert 350 < count < 480, "as many as about 480 000 characters hold"
    assert stored.appointments == tuple(appointments[:count])


async def test_what_is_too_big_alone_is_left_out(agendas: AgendaStore) -> None:
    await agendas.save(ANNA, agenda_of(appoint(0, "x" * 500_000)))
    stored = await agendas.get(ANNA)
    assert stored
    assert stored.appointments == ()


async def test_a_smaller_one_leaves_nothing_of_the_bigger_behind(agendas: AgendaStore) -> None:
    big = await agendas.save(ANNA, agenda_of(*(appoint(number, "x" * 1000) for number in range(100))))
    await agendas.save(ANNA, replace(big, appointments=(appoint(1),)))
    stored = await agendas.get(ANNA)
    assert stored
    assert stored.appointments == (appoint(1),)


async def test_each_is_written_only_by_who_has_read_the_last(agendas: AgendaStore) -> None:
    first = await agendas.save(ANNA, agenda_of())
    with pytest.raises(StateConflict):
        await agendas.save(ANNA, agenda_of(appoint(1)))
    second = await agendas.save(ANNA, replace(first, appointments=(appoint(2),)))
    with pytest.raises(StateConflict):
        await agendas.save(ANNA, replace(first, appointments=(appoint(3),)))
    await agendas.remove(ANNA)
    with pytest.raises(StateConflict):
        await agendas.save(ANNA, replace(second, appointments=(appoint(4),)))
    assert await agendas.get(ANNA) is None


async def test_removing_one_removes_no_other_and_may_be_repeated(agendas: AgendaStore) -> None:
    await agendas.save(ANNA, agenda_of())
    await agendas.save(BERND, agenda_of())
    for _ in range(2):
        await agendas.remove(ANNA)
    assert await agendas.get(ANNA) is None
    assert await agendas.get(BERND)
