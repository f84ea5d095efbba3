"""A changed configuration takes effect for everybody, whatever happens meanwhile."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from shared.errors import ExchangeUnavailable, PbxUnavailable, StateConflict
from shared.ews.location import Kept
from shared.ews.notifications import Notification
from shared.model import Agenda, Failure, MailboxState, Sensitivity, ShowAs
from shared.state.storage import Storage
from shared.sync import applying, publishing
from shared.sync.applying import Applied
from shared.sync.changes import Effect, take_fingerprint
from shared.sync.interfaces import Lease, Pause
from shared.sync.trouble import add_failure
from tests.integration.sync.office import Killed, Killer, Office
from tests.integration.sync.world import HOUR, MINUTE, appoint, guid_of, person

pytestmark = pytest.mark.integration

ANNA, BERTA, EMIL = (guid_of(name) for name in ("anna", "berta", "emil"))
CALENDAR = [
    appoint("08:00", "11:00", "Lunch"),
    appoint("09:30", "12:00", "Secret", sensitivity=Sensitivity.PRIVATE),
]


@pytest.fixture
def office(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> Office:
    """Three users in three partitions, nothing configured yet."""
    monkeypatch.setattr(publishing, "_RECONNECTIONS", (0.0, 0.0, 0.0))
    monkeypatch.setattr(applying, "PARTITIONS", ("a", "b", "e"))
    office = Office(storage)
    people = [person(name) for name in ("anna", "berta", "emil")]
    office.pbx.list_users(*people)
    for user in people:
        office.exchange.calendars[user.emails[0]] = list(CALENDAR)
    return office


async def opened(office: Office) -> Office:
    """Configured, and all work done."""
    await office.open()
    await office.work()
    office.pbx.told.clear()
    office.exchange.asked.clear()
    return office


def notes(office: Office) -> set[str]:
    return {note for _, note in office.pbx.presences.values()}


async def test_a_configuration_that_becomes_complete_starts_the_first_synchronisation(office: Office) -> None:
    await office.save("presence")
    await office.save("exchange")
    await office.work()
    assert (office.pbx.connections, office.exchange.asked) == (0, [])
    await office.save("pbx")
    await office.work()
    assert len(office.pbx.presences) == 3
    assert all(note.startswith("Lunch") for note in notes(office))
    assert office.exchange.count("subscribe") == 3
    assert not await office.applier.notice(await office.configured())


async def test_what_was_applied_is_not_applied_again(office: Office) -> None:
    await opened(office)
    await office.save("presence")
    orders = await office.work()
    assert {order.queue for order in orders} == {"configure"}
    assert await office.applier.run() == 0
    assert (office.pbx.told, office.exchange.asked) == ([], [])


async def test_who_is_known_and_subscribed_is_read_when_it_is_complete_again(office: Office) -> None:
    await opened(office)
    await office.save("exchange", password=None)
    await office.work()
    office.exchange.calendars["anna@example.com"] = [appoint("08:00", "10:00", "Changed")]
    await office.queues.read([ANNA], "changed")
    await office.work()
    assert office.exchange.asked == [], "nobody can sign in"
    await office.save("exchange")
    await office.work()
    assert office.exchange.count("read") == 3
    assert office.exchange.count("subscribe") == 0
    assert office.pbx.presences[ANNA][1].startswith("Changed")


@pytest.mark.parametrize(
    ("values", "begins"),
    [
        ({"language": "de"}, "Lunch"),
        ({"timezone": "UTC"}, "Lunch until 09:30"),
        ({"show_subject": False}, "Private"),
        ({"mapping": {"busy": "away"}}, "Lunch"),
        ({"until_unit": "s"}, "Lunch"),
    ],
)
async def test_presences_are_composed_anew_without_asking_exchange(
    office: Office, values: dict[str, Any], begins: str
) -> None:
    await opened(office)
    before = dict(office.pbx.presences)
    await office.save("presence", **values)
    await office.work()
    assert office.exchange.asked == []
    assert all(note.startswith(begins) for note in notes(office)), notes(office)
    assert len(office.pbx.told) == 3
    assert all(office.pbx.presences[guid] != before[guid] for guid in before)


async def test_subjects_that_are_not_shown_any_more_are_not_kept(office: Office) -> None:
    await opened(office)
    await office.save("presence", show_subject=False)
    await office.work()
    agenda = await office.agendas.get(ANNA)
    assert agenda is not None
    assert {appointment.subject for appointment in agenda.appointments} == {""}
    assert office.exchange.asked == []
    await office.save("presence")
    await office.work()
    assert office.exchange.count("read") == 3, "they have to be read again to be shown"
    assert all(note.startswith("Lunch") for note in notes(office))


async def test_only_whose_agenda_lacks_what_the_rules_look_at_now_is_read(office: Office) -> None:
    office.exchange.calendars["anna@example.com"] = [appoint("08:00", "11:00", "Lunch")]
    office.exchange.calendars["berta@example.com"] = [
        appoint("08:00", "11:00", "Trial", show_as=ShowAs.TENTATIVE)
    ]
    await opened(office)
    await office.save("presence", prioritized=["secret"], mapping={"tentative": "busy"})
    await office.work()
    assert office.exchange.asked == [("read", "berta@example.com"), ("read", "emil@example.com")]
    assert office.pbx.presences[BERTA][1].startswith("Trial")
    assert office.pbx.presences[ANNA][1].startswith("Lunch")


async def test_a_change_of_the_rules_changes_also_when_presences_change_next(office: Office) -> None:
    office.exchange.calendars = {
        address: [appoint("08:00", "10:00", "Trip", show_as=ShowAs.OUT_OF_OFFICE), appoint("09:30", "11:00")]
        for address in office.exchange.calendars
    }
    await opened(office)
    await office.save("presence", mapping={"out_of_office": "ignore"})
    await office.work()
    assert all(note.startswith("Free until 10:30") for note in notes(office)), notes(office)
    office.now += 30 * MINUTE
    await office.ticker.tick((await office.configured()).presence.rules)
    await office.work()
    assert all(note.startswith("Meeting") for note in notes(office)), notes(office)


async def test_disabled_clears_presences_and_ends_subscriptions(office: Office) -> None:
    await opened(office)
    before = await office.find(ANNA)
    assert before.subscription is not None
    told = Notification(before.subscription.id, events=("ModifiedEvent",))
    assert await office.receiver.receive(ANNA, [told])
    office.queues.take()
    await office.save("exchange", sync_type="disabled")
    await office.work()
    assert set(office.pbx.presences.values()) == {("", "")}
    assert len(office.pbx.told) == 3
    assert office.exchange.asked == []
    user = await office.find(ANNA)
    assert (user.mailbox, user.mailbox_state, user.subscription) == ("", MailboxState.UNRESOLVED, None)
    assert await office.agendas.get(ANNA) is None
    assert not await office.receiver.receive(ANNA, [told]), "Exchange is told to end it"
    assert office.queues.take() == []


async def test_who_was_never_told_about_is_not_told_when_it_is_disabled(office: Office) -> None:
    office.exchange.calendars["anna@example.com"] = []
    await opened(office)
    await office.save("exchange", sync_type="disabled")
    await office.work()
    assert {told.guid for told in office.pbx.told} == {BERTA, EMIL}
    office.pbx.told.clear()
    await office.save("exchange")
    await office.work()
    assert {told.guid for told in office.pbx.told} == {BERTA, EMIL}, "a bare free is not told either"


async def test_while_the_pbx_is_away_clearing_waits_and_is_done_when_it_is_back(office: Office) -> None:
    await opened(office)
    office.pbx.down = PbxUnavailable("away")
    await office.save("exchange", sync_type="disabled")
    await office.work()
    office.pbx.down = None
    assert "Lunch" in str(office.pbx.presences[ANNA])
    await office.applier.publish_rest()
    assert office.queues.take() == [], "not before it is time"
    office.now += 5 * MINUTE
    await office.applier.publish_rest()
    await office.work()
    assert set(office.pbx.presences.values()) == {("", "")}
    await office.applier.publish_rest()
    assert office.queues.take() == []


async def test_another_exchange_is_found_subscribed_to_and_read(office: Office) -> None:
    await opened(office)
    office.exchange.aliases["anna@example.com"] = "anna@new.example.com"
    del office.exchange.calendars["anna@example.com"]
    office.exchange.calendars["anna@new.example.com"] = [appoint("08:00", "10:00", "Moved")]
    await office.save("exchange", url="new.example.com")
    await office.work()
    assert (office.exchange.count("subscribe"), office.exchange.count("read")) == (3, 3)
    assert (await office.find(ANNA)).mailbox == "anna@new.example.com"
    assert office.pbx.presences[ANNA][1].startswith("Moved")
    assert [told.guid for told in office.pbx.told] == [ANNA], "the others' have not changed"


async def test_another_detection_ends_the_subscriptions(office: Office) -> None:
    await opened(office)
    await office.save("exchange", detection="poll")
    await office.do(next(order for order in office.queues.take() if order.queue == "configure"))
    assert (await office.find(ANNA)).subscription is None
    assert office.queues.users_of("subscribe") == sorted([ANNA, BERTA, EMIL])


async def pause(office: Office) -> None:
    """Exchange and the PBX have failed and are left alone for long."""
    error = ExchangeUnavailable("HTTP 401", "refused", retry_after=HOUR)
    await office.health.set_trouble("exchange", add_failure(None, error, office.now))
    grant = await office.budget.acquire(1, office.now)
    assert not isinstance(grant, Pause)
    await office.budget.release(grant, office.now, HOUR)
    trouble = add_failure(None, PbxUnavailable("away"), office.now)
    await office.health.set_trouble("pbx", replace(trouble, retry_at=office.now + HOUR))
    kept = Kept("calendar@example.com", False, None, office.now, office.now + HOUR, (), "HTTP 401", "refused")
    await office.locations.put(kept)


async def test_saving_ends_the_pause_at_once(office: Office) -> None:
    await opened(office)
    await pause(office)
    await office.save("presence", language="de")
    assert await office.health.trouble("exchange") is not None
    assert await office.health.trouble("pbx") is not None
    await office.save("exchange", password="new")
    assert await office.health.trouble("exchange") is None
    assert await office.budget.pause(office.now) is None
    kept = await office.locations.get()
    assert kept is not None
    assert kept.not_before == office.now
    assert await office.health.trouble("pbx") is not None
    await office.save("pbx", password="new")
    assert await office.health.trouble("pbx") is None


async def test_also_saving_the_same_again_ends_the_pause(office: Office) -> None:
    await opened(office)
    await pause(office)
    await office.save("exchange")
    await office.save("pbx")
    assert await office.health.trouble("exchange") is None
    assert await office.budget.pause(office.now) is None
    assert await office.health.trouble("pbx") is None
    await office.work()
    assert office.exchange.asked == []


async def test_who_failed_or_had_no_mailbox_is_tried_again_with_another_account(office: Office) -> None:
    await opened(office)
    await office.users.set_failure(BERTA, Failure("ErrorImpersonateUserDenied", "x", office.now, 1, None))
    await office.users.set_mailbox(EMIL, MailboxState.NONE)
    await office.save("exchange", user="other@example.com")
    await office.work()
    assert {about for _, about in office.exchange.asked} == {"berta@example.com", "emil@example.com"}
    assert (await office.find(EMIL)).mailbox_state is MailboxState.FOUND


async def test_another_pbx_is_told_everything(office: Office) -> None:
    await opened(office)
    before = dict(office.pbx.presences)
    office.pbx.presences.clear()
    await office.save("pbx", name="other")
    await office.work()
    assert office.pbx.presences == before
    assert len(office.pbx.told) == 3
    assert office.exchange.asked == []


async def test_to_another_pbx_nobody_has_to_say_farewell(office: Office) -> None:
    await opened(office)
    office.pbx.down = PbxUnavailable("away")
    office.pbx.rows = office.pbx.rows[1:]
    await office.farewell.leave(ANNA)
    office.pbx.down = None
    await office.save("pbx", name="other")
    await office.work()
    assert {told.guid for told in office.pbx.told} == {BERTA, EMIL}
    assert not await office.outbox.waits()


async def test_one_users_broken_record_does_not_stop_the_others(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    await opened(office)
    load = office.agendas.get

    async def get(guid: str) -> Agenda | None:
        if guid == BERTA:
            raise ValueError("broken")
        return await load(guid)

    monkeypatch.setattr(office.agendas, "get", get)
    await office.save("presence", show_subject=False)
    await office.do(office.queues.take()[0])
    assert office.queues.users_of("sync") == [BERTA]
    await office.publisher.publish()
    assert {told.guid for told in office.pbx.told} == {ANNA, EMIL}


async def test_who_could_not_be_cleared_is_cleared_by_the_next_run_and_does_not_stop_the_others(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    await opened(office)
    withdraw = office.outbox.withdraw

    async def fail(guid: str) -> bool:
        if guid == ANNA:
            raise TimeoutError("The storage did not answer.")
        return await withdraw(guid)

    await office.save("exchange", sync_type="disabled")
    (order,) = office.queues.take()
    with monkeypatch.context() as patched:
        patched.setattr(office.outbox, "withdraw", fail)
        with pytest.raises(TimeoutError):
            await office.do(order)
    await office.work()
    shows = {guid for guid, (_, note) in office.pbx.presences.items() if note}
    assert shows == {ANNA}
    assert await office.applier.notice(await office.configured()), "it is known to be unfinished"
    await office.work()
    assert notes(office) == {""}
    assert not await office.applier.notice(await office.configured())


async def test_of_several_who_store_an_agenda_the_others_win(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    await opened(office)
    save = office.agendas.save
    conflicts = iter([True, False] + [True] * 100)

    async def crowded(guid: str, agenda: Agenda) -> Agenda:
        if guid in (ANNA, BERTA) and next(conflicts):
            raise StateConflict("meanwhile")
        return await save(guid, agenda)

    monkeypatch.setattr(office.agendas, "save", crowded)
    await office.save("presence", show_subject=False)
    await office.do(office.queues.take()[0])
    assert office.queues.users_of("sync") == [BERTA], "who could not be brought up to date is read"


# ---- nothing is lost on the way


async def test_the_tick_notices_what_was_not_applied(office: Office) -> None:
    await opened(office)
    await office.save("presence", language="de")
    office.queues.take()  # the message is lost
    assert await office.applier.notice(await office.configured())
    await office.work()
    assert len(office.pbx.told) == 3
    assert not await office.applier.notice(await office.configured())
    assert office.queues.take() == []


async def test_the_tick_notices_what_was_stored_without_asking(office: Office) -> None:
    await opened(office)
    section = (await office.configured()).exchange
    await office.config.save(
        "exchange", section.model_copy(update={"user": "x@example.com"}), None, "x", office.now
    )
    assert await office.applier.notice(await office.configured())


async def test_where_one_run_was_killed_another_comes_when_its_time_is_over(office: Office) -> None:
    await opened(office)
    assert await office.leases.acquire("configure", office.now, HOUR) is not None
    await office.save("presence", language="de")
    await office.do(office.queues.take()[0])
    (order,) = office.queues.take()
    assert (order.queue, order.delay > HOUR) == ("configure", True)
    await office.do(order)
    assert office.queues.take() == [], "one stands in for all"
    office.now += order.delay
    await office.do(order)
    await office.work()
    assert len(office.pbx.told) == 3


async def test_what_was_wanted_while_a_run_works_is_done_after_it(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    await opened(office)
    renew = office.leases.renew
    others: list[str] = []

    async def let_another_come(lease: Lease, now: datetime, duration: timedelta) -> Lease | None:
        if not others:
            others.append("came")
            assert await office.applier.run() == 0
        return await renew(lease, now, duration)

    monkeypatch.setattr(office.leases, "renew", let_another_come)
    await office.save("presence", language="de")
    orders = await office.work()
    assert "wanted meanwhile" in [order.reason for order in orders if order.queue == "configure"]
    assert len(office.pbx.told) == 3


async def test_a_long_run_goes_on_in_another_execution(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    await opened(office)
    monkeypatch.setattr(applying, "_LONGEST", timedelta(0))
    await office.save("presence", language="de")
    orders = await office.work()
    assert [order.reason for order in orders if order.queue == "configure"] == ["saved"] + ["goes on"] * 3
    assert len(office.pbx.told) == 3


async def test_a_run_that_lost_its_lease_leaves_the_rest_to_another(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    await opened(office)

    async def renew(lease: Lease, now: datetime, duration: timedelta) -> None:
        return None

    monkeypatch.setattr(office.leases, "renew", renew)
    await office.save("presence", language="de")
    await office.do(office.queues.take()[0])
    applied = await office.applied.get()
    assert applied is not None
    assert applied.done == 1
    monkeypatch.undo()
    await office.applier.run()
    applied = await office.applied.get()
    assert applied is not None
    assert applied.target is None


async def test_a_newer_change_during_applying_starts_anew(office: Office) -> None:
    """Half of the users are retired when the administrator enables it again."""
    await opened(office)
    save_progress = office.applied.put

    async def put(applied: Applied) -> Applied:
        stored = await save_progress(applied)
        if applied.done == 2:
            office.applied.put = save_progress  # type: ignore[method-assign]
            await office.config.save("exchange", enabled, None, "anna", office.now)
        return stored

    enabled = (await office.configured()).exchange
    await office.save("exchange", sync_type="disabled")
    office.applied.put = put  # type: ignore[method-assign]
    await office.work()
    assert len(notes(office)) == 1
    assert all(note.startswith("Lunch") for note in notes(office)), office.pbx.presences
    assert {guid for guid in (ANNA, BERTA, EMIL) if (await office.find(guid)).subscription} == {
        ANNA,
        BERTA,
        EMIL,
    }


@pytest.mark.parametrize("then", [{"language": "fr"}, {}])
async def test_a_change_that_is_saved_while_another_is_applied_wins(
    office: Office, then: dict[str, Any]
) -> None:
    await opened(office)
    expected = {"fr": "Lunch jusque"}.get(str(then.get("language")), "Lunch until")
    await office.save("presence", language="de")
    first = office.queues.take()[0]
    save_progress = office.applied.put

    async def put(applied: Applied) -> Applied:
        if applied.done == 2:
            office.applied.put = save_progress  # type: ignore[method-assign]
            await office.save("presence", **then)
        return await save_progress(applied)

    office.applied.put = put  # type: ignore[method-assign]
    await office.do(first)
    await office.work()
    assert all(note.startswith(expected) for note in notes(office)), notes(office)


async def test_work_that_used_the_former_rules_is_brought_up_to_date(office: Office) -> None:
    await opened(office)
    used = await office.configured()
    await office.save("presence", show_subject=False)
    await office.work()
    # A reading that was under way all the while, and a tick.
    await office.reader.read([ANNA], "late", used.presence.rules)
    await office.publisher.publish()
    assert office.pbx.presences[ANNA][1].startswith("Lunch")
    assert await office.applier.catch_up(used, [ANNA])
    await office.work()
    assert office.pbx.presences[ANNA][1].startswith("Private")
    agenda = await office.agendas.get(ANNA)
    assert agenda is not None
    assert {appointment.subject for appointment in agenda.appointments} == {""}
    await office.presenter.present_again(person("berta"), used.presence.rules)
    assert await office.applier.catch_up(used, everybody=[Effect.PRESENT])
    await office.work()
    assert office.pbx.presences[BERTA][1].startswith("Private")
    assert not await office.applier.catch_up(await office.configured(), [ANNA])


async def test_work_that_went_on_while_it_was_disabled_leaves_nothing_behind(office: Office) -> None:
    await opened(office)
    used = await office.configured()
    await office.save("exchange", sync_type="disabled")
    await office.work()
    await office.subscriber.subscribe([ANNA], "late")
    await office.reader.read([ANNA], "late", used.presence.rules)
    assert (await office.find(ANNA)).subscription is not None
    await office.applier.catch_up(used, [ANNA])
    await office.work()
    user = await office.find(ANNA)
    assert (user.subscription, user.mailbox) == (None, "")
    assert await office.agendas.get(ANNA) is None
    assert office.pbx.presences[ANNA] == ("", "")


async def test_a_former_password_that_is_refused_late_does_not_pause_the_new_one(office: Office) -> None:
    await opened(office)
    used = await office.configured()
    await office.save("exchange", password="new")
    await pause(office)
    await office.applier.catch_up(used, [ANNA])
    assert await office.health.trouble("exchange") is None
    assert await office.budget.pause(office.now) is None


async def test_a_presence_that_the_former_pbx_took_late_is_told_to_the_other(office: Office) -> None:
    await opened(office)
    used = await office.configured()
    await office.save("pbx", name="other")
    await office.do(next(order for order in office.queues.take() if order.queue == "configure"))
    await office.publisher.publish()  # still the former one
    office.pbx.presences.clear()
    await office.applier.catch_up(used, everybody=[Effect.TELL_ANEW])
    await office.work()
    assert len(office.pbx.presences) == 3


async def rules_change(office: Office) -> None:
    await office.save("presence", language="de", show_subject=False)


async def disable(office: Office) -> None:
    await office.save("exchange", sync_type="disabled")


async def move(office: Office) -> None:
    await office.save("exchange", url="new.example.com")


async def rename_pbx(office: Office) -> None:
    office.pbx.presences.clear()
    await office.save("pbx", name="other")


async def forget(*_: Any) -> None:
    """What was saved is not asked for: the message was lost."""


async def state_of(office: Office) -> object:
    """All that is to be the same at the end, without what each run gives another number."""
    users = {user.user.guid: replace(user, subscription=None) async for user in office.users.everybody()}
    subscribed = {user.user.guid async for user in office.users.everybody() if user.subscription}
    agendas = {
        guid: found and found.appointments for guid in users if (found := await office.agendas.get(guid)) or 1
    }
    applied = await office.applied.get()
    assert applied is not None
    assert applied.target is None
    assert applied.base == take_fingerprint(await office.configured(), office.cipher.fingerprint)
    return users, subscribed, agendas, office.pbx.presences, await office.outbox.waits()


@pytest.mark.parametrize(
    ("change", "told_at_most"), [(rules_change, 1), (disable, 1), (move, 0), (rename_pbx, 2)]
)
async def test_killed_anywhere_the_result_is_the_same(
    office: Office,
    change: Callable[[Office], Awaitable[None]],
    told_at_most: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each run is killed a write later than the one before, and resumed by the next, until one is not."""
    killer = Killer(office, monkeypatch)
    await opened(office)
    await change(office)
    await office.work()
    expected = await state_of(office)
    for name in ("exchange", "presence", "pbx"):
        await office.save(name)
    await office.work()
    office.pbx.told.clear()
    with monkeypatch.context() as patch:
        patch.setattr(applying.Applier, "ask", forget)
        await change(office)
    runs = 0
    while await office.applier.notice(await office.configured()):
        office.queues.take()  # each message is lost too
        killer.arm(runs)
        with suppress(Killed):
            await office.applier.run()
        killer.disarm()
        await office.storage.table("leases").delete("lease", "configure")  # it ends by itself
        office.orders += office.queues.take()
        runs += 1
    office.queues.orders = office.orders
    await office.work()
    assert runs > 6
    assert await state_of(office) == expected
    told = [told.guid for told in office.pbx.told]
    assert max(map(told.count, told), default=0) <= told_at_most


async def test_what_a_newer_change_leaves_alone_is_still_applied_to_the_rest(office: Office) -> None:
    await opened(office)
    await office.save("presence", language="de")
    first = office.queues.take()[0]
    save_progress = office.applied.put

    async def put(applied: Applied) -> Applied:
        if applied.done == 1:
            office.applied.put = save_progress  # type: ignore[method-assign]
            await office.save("pbx", domain="example.net")
        return await save_progress(applied)

    office.applied.put = put  # type: ignore[method-assign]
    await office.do(first)
    await office.work()
    assert all(note.startswith("Lunch bis") for note in notes(office)), notes(office)
