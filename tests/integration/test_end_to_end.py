"""Everything together: calendars of a simulated Exchange come to a simulated PBX through the function app.

Only the pauses after a failure are cut short, as an administrator does who presses *retry now*.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from cryptography.fernet import Fernet

from dev.azurite import Azurite
from dev.exchange.simulator import ExchangeSimulator
from dev.host import FunctionsHost
from dev.pbx.simulator import PbxSimulator
from dev.seed import create_seed
from functions import telemetry
from functions.services import CONFIGURATION_LIFE, Callbacks, Services
from shared.cipher import Cipher
from shared.environment import Environment
from shared.model import CalendarUser, MailboxState
from shared.state.budget import Budget
from shared.state.health import Health
from shared.state.queues import WorkQueues
from shared.state.storage import Storage
from shared.state.users import UserStore
from shared.sync.interfaces import Trouble
from tests.ports import find_ports
from tests.tracing import keep_spans

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

ROOT = Path(__file__).resolve().parents[2]
MASTER_KEY = "master key of this test"
ACCOUNT = "calendar@example.com"
NAMES = (
    *("probe", "leaver", "outsider", "switched", "patient", "secretive", "unlucky", "lucky"),
    *("traced", "user500", "userhtml", "userclose", "userbusy"),
)
"""Users with empty calendars, one for each test."""

PUSHED_WITHIN = 20.0
"""Seconds from a change in Exchange to the PBX, on a machine that is busy with other tests; whatever
else would find the change comes later."""


async def until(condition: Callable[[], bool | Awaitable[bool]], seconds: float = 20.0) -> float:
    """Wait until something is so; return how many seconds it took."""
    began = time.monotonic()
    while True:
        holds = condition()
        if holds if isinstance(holds, bool) else await holds:
            return time.monotonic() - began
        assert time.monotonic() - began < seconds, "it never came"
        await asyncio.sleep(0.05)


@dataclass
class Company:
    """The running service between its two simulators."""

    exchange: ExchangeSimulator
    pbx: PbxSimulator
    host: FunctionsHost
    environment: Environment
    storage: Storage

    def __post_init__(self) -> None:
        self.users = UserStore(self.storage)
        self.health = Health(self.storage)
        self.queues = WorkQueues(self.storage)

    async def configure(self, section: str, **changes: Any) -> None:
        """Save a section of the configuration as an administrator does, with some values changed."""
        values: dict[str, dict[str, Any]] = {
            "pbx": {
                "address": self.pbx.url,
                "name": self.pbx.switchboard.name,
                "password": self.pbx.switchboard.password,
                "certificate": self.pbx.ca_pem,
            },
            "exchange": {
                "sync_type": "on-premises",
                "user": ACCOUNT,
                "password": self.exchange.password,
                "url": self.exchange.ews_url,
                "certificate": self.exchange.ca_pem.decode(),
            },
            "presence": {"timezone": "Europe/Berlin"},
        }
        services = Services(self.environment)
        etag = (await services.config.load_section(section)).etag
        await services.configurator().save(section, values[section] | changes, etag, "test")
        await services.close()

    async def start(self, function: str) -> None:
        """Have the host run a function now."""
        async with httpx.AsyncClient() as client:
            answer = await client.post(
                f"{self.host.url}/admin/functions/{function}",
                json={"input": ""},
                headers={"x-functions-key": MASTER_KEY},
            )
            answer.raise_for_status()

    async def forget_pauses(self) -> None:
        """Let Exchange and the PBX be tried at once."""
        await Budget(self.storage).reset()
        await self.health.set_trouble("exchange", None)
        await self.health.set_trouble("pbx", None)

    async def retry_until(self, guid: str, subject: str) -> None:
        """Have a user read and the PBX tried until it shows.

        Once is not enough where work that was under way finds its failure afterwards and pauses anew.
        """
        began = time.monotonic()
        while not self.note(guid).startswith(subject):
            assert time.monotonic() - began < 30, "it never came"
            await self.forget_pauses()
            await self.queues.read([guid], "retry now")
            await self.queues.publish("retry now")
            with suppress(AssertionError):
                await until(lambda: self.note(guid).startswith(subject), 5)

    async def trouble(self, system: str) -> Trouble:
        """Wait for trouble with a system."""
        found: list[Trouble] = []

        async def look() -> bool:
            found.extend(filter(None, [await self.health.trouble(system)]))
            return bool(found)

        await until(look)
        return found[0]

    async def no_trouble(self, system: str) -> None:
        """Wait until there is none any more."""

        async def look() -> bool:
            return await self.health.trouble(system) is None

        await until(look)

    async def user(self, guid: str) -> CalendarUser:
        """A user who must be there."""
        user = await self.users.get(guid)
        assert user is not None
        return user

    async def employ(self, name: str) -> str:
        """One of `NAMES`, as soon as the calendar is subscribed to; the guid."""
        row = self.pbx.users.find(sip=name)
        assert row is not None

        async def is_subscribed() -> bool:
            known = await self.users.get(row.guid)
            return known is not None and known.subscription is not None

        await until(is_subscribed)
        return row.guid

    def note(self, guid: str) -> str:
        return self.pbx.phone(guid).note

    def meet(self, name: str, subject: str, minutes: int = 60) -> str:
        """Somebody is in a meeting from now on; the appointment's id."""
        now = datetime.now(UTC).replace(second=0, microsecond=0)
        end = now + timedelta(minutes=minutes)
        return str(self.exchange.add_appointment(name, start=now, end=end, subject=subject)["id"])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running() -> AsyncIterator[Company]:
    """A company on its first day; the PBX's password was mistyped."""
    port = find_ports()
    seed = create_seed(25, now=datetime.now(UTC), at_work=True)
    addresses = {name: f"{name}@example.com" for name in NAMES}
    mailboxes = [*seed.exchange["mailboxes"], *({"address": address} for address in addresses.values())]
    people = [
        *seed.pbx["users"],
        *({"h323": name, "cn": name, "emails": [{"email": mail}]} for name, mail in addresses.items()),
    ]
    async with AsyncExitStack() as stack:
        emulator = stack.enter_context(Azurite())
        exchange = await stack.enter_async_context(ExchangeSimulator(user=ACCOUNT, seed=mailboxes))
        pbx = await stack.enter_async_context(PbxSimulator(users=people))
        settings = {
            "AzureWebJobsStorage": emulator.connection_string,
            "CALENDAR_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
            "CALENDAR_CALLBACK_URL": f"http://127.0.0.1:{port}",
        }
        environment = Environment.read(settings)
        storage = await stack.enter_async_context(Storage.open(environment))
        await storage.create()
        host = FunctionsHost(root=ROOT, port=port, settings=settings | {"DEV_HOST_MASTER_KEY": MASTER_KEY})
        company = Company(exchange, pbx, host, environment, storage)
        await company.configure("exchange")
        await company.configure("presence")
        await company.configure("pbx", password="mistyped")
        await stack.enter_async_context(host)

        await company.start("directory")
        trouble = await company.trouble("pbx")
        assert (trouble.code, trouble.attempts) == ("PbxLoginRefused", 1)
        assert trouble.text.startswith("pbx.password: the PBX refused the app 'calendarsync'")
        assert [known async for known in company.users.everybody()] == []
        await company.configure("pbx")
        await asyncio.sleep(CONFIGURATION_LIFE)

        await company.start("directory")
        await company.no_trouble("pbx")
        yield company


@pytest_asyncio.fixture(loop_scope="module")
async def company(running: Company) -> AsyncIterator[Company]:
    """The company while nothing is wrong; afterwards nothing is wrong again."""
    yield running
    running.exchange.remove_faults()
    running.pbx.switchboard.name = "master"
    await running.pbx.come_back()
    await running.forget_pauses()


async def test_the_first_synchronisation_reaches_everybody(company: Company) -> None:
    with_mailbox = {mailbox.address for mailbox in company.exchange.directory}
    users: list[CalendarUser] = []

    def presented() -> bool:
        return len([row for row in company.pbx.users.rows() if company.note(row.guid)]) >= 20

    await until(presented)

    async def resolved() -> bool:
        users[:] = [known async for known in company.users.everybody()]
        return all(known.mailbox_state is MailboxState.NONE or known.subscription for known in users)

    await until(resolved)
    found = {known.mailbox for known in users if known.mailbox_state is MailboxState.FOUND}
    assert found <= with_mailbox
    assert len([known for known in users if known.mailbox_state is MailboxState.NONE]) == 1
    assert not [known for known in users if known.failure]
    assert all(known.subscription for known in users if known.mailbox)
    assert company.exchange.statistics.max_concurrent_of_one_mailbox == 1
    assert company.exchange.statistics.missing_anchors == 0


async def test_what_changes_in_a_calendar_is_pushed_to_the_pbx(company: Company) -> None:
    guid = await company.employ("probe")
    assert company.note(guid) == "", "who never had a presence is not told free"

    number = company.meet("probe", "Review")
    assert await until(lambda: company.note(guid).startswith("Review until")) < PUSHED_WITHIN
    assert company.pbx.phone(guid).activity == "busy"

    company.exchange.change_appointment("probe", number, by=120)
    assert await until(lambda: company.note(guid).startswith("Free until")) < PUSHED_WITHIN
    assert company.pbx.phone(guid).activity == ""

    company.exchange.cancel_appointment("probe", number)
    assert await until(lambda: company.note(guid) == "Free") < PUSHED_WITHIN
    assert company.pbx.statistics.presences_set[guid] == 3


async def test_a_change_is_one_trace_from_the_notification_to_the_pbx(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    guid = await company.employ("traced")
    kept = keep_spans()
    monkeypatch.setattr(telemetry, "_on", True)
    company.meet("traced", "Trace")
    await until(lambda: company.note(guid).startswith("Trace until"))

    def traces_of(function: str) -> set[int]:
        contexts = (span.get_span_context() for span in kept.get_finished_spans() if span.name == function)
        return {context.trace_id for context in contexts if context}

    await until(lambda: bool(traces_of("notification") & traces_of("sync") & traces_of("publish")))


async def test_who_is_removed_on_the_pbx_is_forgotten(company: Company) -> None:
    guid = await company.employ("leaver")
    company.meet("leaver", "Farewell")
    await until(lambda: company.note(guid).startswith("Farewell"))
    subscription = company.exchange.subscriptions.of(company.exchange.directory.named("leaver"))
    assert len(subscription) == 1
    company.pbx.users.remove(guid)
    await company.start("directory")

    async def is_gone() -> bool:
        return await company.users.get(guid) is None

    await until(is_gone)
    assert await company.storage.table("agendas").get(guid[0], guid) is None
    company.meet("leaver", "Nobody asks")
    await until(lambda: not company.exchange.subscriptions.of(company.exchange.directory.named("leaver")))


async def test_who_leaves_the_scope_shows_nothing(company: Company) -> None:
    guid = await company.employ("outsider")
    company.meet("outsider", "Meeting")
    await until(lambda: company.note(guid).startswith("Meeting"))
    company.pbx.users.change(guid, {"pseudo": "trunk"})
    await company.start("directory")
    await until(lambda: company.note(guid) == "")
    assert company.pbx.phone(guid).activity == ""


async def test_another_pbx_is_refused_until_it_is_the_right_one(company: Company) -> None:
    guid = await company.employ("switched")
    company.pbx.switchboard.name = "other"
    company.meet("switched", "Meeting")
    trouble = await company.trouble("pbx")
    assert trouble.code == "WrongPbx"
    assert "'other'" in trouble.text
    assert "'master'" in trouble.text
    assert company.note(guid) == ""
    company.pbx.switchboard.name = "master"
    await company.retry_until(guid, "Meeting")


async def test_a_pbx_that_is_away_gets_the_last_state_only(company: Company) -> None:
    guid = await company.employ("patient")
    company.meet("patient", "First")
    await until(lambda: company.note(guid).startswith("First"))
    before = company.pbx.statistics.presences_set[guid]
    await company.pbx.go_away()
    number = company.meet("patient", "Second", minutes=30)
    trouble = await company.trouble("pbx")
    assert trouble.text.startswith("pbx.address: no connection to the PBX.")
    company.exchange.change_appointment("patient", number, subject="Third")
    await company.pbx.come_back()
    await asyncio.sleep(2)  # The change is read and waits in the outbox.
    await company.health.set_trouble("pbx", None)
    await company.queues.publish("retry now")
    await until(lambda: company.note(guid).startswith("Third"))
    assert company.pbx.statistics.presences_set[guid] == before + 1


@pytest.mark.parametrize(
    ("name", "fault", "code"),
    [
        ("user500", {"kind": "status", "status": 500}, "HTTP 500"),
        ("userhtml", {"kind": "login_page"}, "WebPage"),
        ("userclose", {"kind": "close"}, "ConnectionLost"),
        ("userbusy", {"kind": "soap", "code": "ErrorServerBusy", "back_off": 60_000}, "ErrorServerBusy"),
    ],
    ids=["500", "HTML", "nothing at all", "busy"],
)
async def test_exchange_fails_and_what_happened_meanwhile_is_made_up_for(
    company: Company, name: str, fault: dict[str, Any], code: str
) -> None:
    guid = await company.employ(name)
    company.exchange.add_fault(**fault)
    company.meet(name, "Meanwhile")
    trouble = await company.trouble("exchange")
    assert trouble.code == code
    assert trouble.text
    assert company.note(guid) == ""
    assert (await company.user(guid)).failure is None, "it is not the user's fault"
    company.exchange.remove_faults()
    await company.retry_until(guid, "Meanwhile")


async def test_a_changed_password_of_exchange_is_trouble_until_it_is_entered(company: Company) -> None:
    guid = await company.employ("secretive")
    company.exchange.add_fault("status", status=401)
    company.meet("secretive", "Meanwhile")
    trouble = await company.trouble("exchange")
    assert trouble.code in ("HTTP 401", "NtlmNotOffered")
    assert "password" in trouble.text or "NTLM" in trouble.text
    assert company.note(guid) == ""
    company.exchange.remove_faults()
    company.exchange.password = "battery staple"
    company.exchange.sign_in.set_account(ACCOUNT, "battery staple")
    await company.configure("exchange")
    await asyncio.sleep(CONFIGURATION_LIFE)
    await company.retry_until(guid, "Meanwhile")


async def test_one_mailbox_fails_while_the_others_go_on(company: Company) -> None:
    unlucky, lucky = await company.employ("unlucky"), await company.employ("lucky")
    company.exchange.add_fault("response", mailbox="unlucky@example.com", code="ErrorMailboxMoveInProgress")
    company.meet("unlucky", "Moved")
    company.meet("lucky", "Meeting")
    await until(lambda: company.note(lucky).startswith("Meeting"))

    async def has_failed() -> bool:
        failure = (await company.user(unlucky)).failure
        return failure is not None and failure.code == "ErrorMailboxMoveInProgress"

    await until(has_failed)
    assert await company.health.trouble("exchange") is None
    assert company.note(unlucky) == ""
    company.exchange.remove_faults()
    await company.queues.read([unlucky], "retry now")
    await until(lambda: company.note(unlucky).startswith("Moved"))

    async def has_recovered() -> bool:
        return (await company.user(unlucky)).failure is None

    await until(has_recovered)


async def test_a_notification_without_the_secret_is_nobodys(company: Company) -> None:
    guid = next(row.guid for row in company.pbx.users.rows())
    right = Callbacks(company.host.url, Cipher(company.environment.encryption_keys)).address_of(guid)
    async with httpx.AsyncClient() as client:
        for address, body, status in (
            (f"{company.host.url}/api/notifications/{guid}/{'0' * 40}", b"<x/>", 404),
            (right.replace(guid, "f" * 32), b"<x/>", 404),
            (right, b"no XML", 400),
            (right, b"<" * ((1 << 20) + 1), 413),
        ):
            answer = await client.post(address, content=body, headers={"content-type": "text/xml"})
            assert (answer.status_code, answer.content) == (status, b"")
        assert (await client.get(right)).status_code in (404, 405)
