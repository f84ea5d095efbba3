"""Test connection against the simulators: what passes, and what each broken part makes of its steps."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import azure.functions as func
import pytest
from aiohttp import web
from cryptography.fernet import Fernet

from dev.entra import EntraSimulator, SigningKey
from dev.exchange import ExchangeSimulator
from dev.pbx import PbxSimulator
from functions import notifications, services, workers
from functions.services import Services
from shared.errors import SettingsError
from shared.pbx.session import PbxLink, PbxSession, open_session
from shared.settings import ExchangeSettings, PbxSettings, parse_section
from shared.state.storage import Storage
from shared.sync import checking_exchange
from shared.sync.checking import Check, Checker, Given, Outcome, Step, callback_of
from shared.sync.checking_pbx import PLAN, PbxPart

pytestmark = pytest.mark.integration

ACCOUNT = "calendar@example.com"
ANNA = "anna@example.com"
EXCHANGE = [planned.name for planned in checking_exchange.PLAN]
PBX = [planned.name for planned in PLAN]

function = notifications.notification.build(None).get_user_function()
run_check = workers.check.build(None).get_user_function()
give_up = workers.check_given_up.build(None).get_user_function()


async def _receive(request: web.Request) -> web.Response:
    """What the functions host does with a notification."""
    _, _, _, guid, secret = request.path.split("/")
    wanted = func.HttpRequest(
        "POST",
        str(request.url),
        route_params={"guid": guid, "secret": secret},
        body=await request.read(),
    )
    answer = await function(wanted)
    return web.Response(status=answer.status_code, body=answer.get_body(), content_type="text/xml")


@pytest.fixture
async def callback() -> AsyncIterator[str]:
    application = web.Application()
    application.router.add_post("/{path:.*}", _receive)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.fixture
async def exchange() -> AsyncIterator[ExchangeSimulator]:
    seed: list[dict[str, Any]] = [{"address": ACCOUNT}, {"address": ANNA, "aliases": ["a@example.com"]}]
    async with ExchangeSimulator(user=ACCOUNT, seed=seed, minute=0.5) as simulator:
        simulator.add_appointment(
            ANNA,
            subject="Review",
            start=datetime.now(UTC) + timedelta(hours=1),
            end=datetime.now(UTC) + timedelta(hours=2),
        )
        yield simulator


@pytest.fixture
async def pbx() -> AsyncIterator[PbxSimulator]:
    users = [{"h323": "anna", "cn": "Anna", "emails": [{"email": ANNA}]}]
    async with PbxSimulator(users=users) as simulator:
        yield simulator


@pytest.fixture
async def calendar(
    storage: Storage, azurite: str, callback: str, monkeypatch: pytest.MonkeyPatch
) -> Services:
    monkeypatch.setenv("AzureWebJobsStorage", azurite)
    monkeypatch.setenv("CALENDAR_ENCRYPTION_KEYS", Fernet.generate_key().decode())
    monkeypatch.setenv("CALENDAR_CALLBACK_URL", callback)
    return await services.services()


def exchange_settings(exchange: ExchangeSimulator, **changes: Any) -> ExchangeSettings:
    given = {
        "sync_type": "on-premises",
        "user": ACCOUNT,
        "password": exchange.password,
        "url": exchange.ews_url,
        "certificate": exchange.ca_pem.decode(),
    }
    section = parse_section("exchange", given | changes)
    assert isinstance(section, ExchangeSettings)
    return section


def pbx_settings(pbx: PbxSimulator, **changes: Any) -> PbxSettings:
    given = {
        "address": pbx.url,
        "name": pbx.switchboard.name,
        "password": pbx.switchboard.password,
        "certificate": pbx.ca_pem,
    }
    section = parse_section("pbx", given | changes)
    assert isinstance(section, PbxSettings)
    return section


async def check(calendar: Services, given: Given) -> Check:
    """Begin a check as the page does, carry it out as the queue does."""
    identity = await calendar.checker().begin(given)
    begun = await calendar.checks.get(identity, services.now())
    assert begun is not None
    assert not begun.done
    assert {step.outcome for step in begun.steps} == {Outcome.WAITING}
    assert await calendar.storage.waiting("checks") == 1
    await run_check(func.QueueMessage(body=identity.encode()))
    ended = await calendar.checks.get(identity, services.now())
    assert ended is not None
    assert ended.done
    return ended


def steps_of(ended: Check) -> dict[str, Step]:
    return {step.name: step for step in ended.steps}


def assert_breaks_at(ended: Check, broken: str, *untried: str) -> Step:
    """Exactly this step fails, those are not tried, all others pass; give the one that failed."""
    outcomes = {step.name: step.outcome for step in ended.steps}
    expected = dict.fromkeys(outcomes, Outcome.PASSED)
    expected |= {broken: Outcome.FAILED} | dict.fromkeys(untried, Outcome.NOT_TRIED)
    assert outcomes == expected, ended
    steps = steps_of(ended)
    assert all("because of" in steps[name].text for name in untried)
    assert steps[broken].remedy
    assert steps[broken].text.endswith(".")
    assert not ended.passed
    return steps[broken]


async def test_everything_passes_and_a_real_notification_arrives(
    calendar: Services, exchange: ExchangeSimulator, pbx: PbxSimulator
) -> None:
    ended = await check(calendar, Given(pbx_settings(pbx), exchange_settings(exchange), "a@example.com"))
    assert [step.name for step in ended.steps] == EXCHANGE + PBX
    assert {step.outcome for step in ended.steps} == {Outcome.PASSED}, ended
    assert ended.passed
    texts = {step.name: step.text for step in ended.steps}
    assert texts["exchange.discovery"] == f"Configured: {exchange.ews_url}."
    assert texts["exchange.version"] == "Exchange 2019 or SE (15.2.1748.10)."
    assert texts["exchange.mailbox"] == f"{ANNA}."
    assert texts["exchange.reading"] == "1 appointment in the next 48 hours."
    assert "arrived after" in texts["exchange.callback"]
    assert texts["pbx.name"] == "‘master’, domain example.com."
    assert steps_of(ended)["pbx.apis"].details == (
        "Admin: granted",
        "TableUsers: granted",
        "PbxApi: answers",
    )
    assert texts["pbx.user"] == "‘anna’, with 1 e-mail address."
    assert steps_of(ended)["exchange.callback"].seconds > 0
    assert not pbx.statistics.presences_set, "a check sets no presence"
    assert list(exchange.subscriptions) == [], "the subscription of a check is ended by its notification"


async def test_no_secret_is_left_and_the_settings_only_until_a_worker_takes_them(
    calendar: Services, exchange: ExchangeSimulator, pbx: PbxSimulator
) -> None:
    given = Given(pbx_settings(pbx, password="kept-to-us"), exchange_settings(exchange, password="us-two"))
    identity = await calendar.checker().begin(given)
    [stored] = [row async for row in calendar.storage.table("checks").query("PartitionKey ne ''")]
    assert stored["pbx"]
    assert "kept-to-us" not in repr(stored)
    assert "us-two" not in repr(stored)
    await run_check(func.QueueMessage(body=identity.encode()))
    [stored] = [row async for row in calendar.storage.table("checks").query("PartitionKey ne ''")]
    assert (stored["pbx"], stored["exchange"]) == ("", "")
    assert "kept-to-us" not in repr(stored)


async def test_one_system_can_be_tested_alone(calendar: Services, pbx: PbxSimulator) -> None:
    ended = await check(calendar, Given(pbx_settings(pbx), None))
    assert [step.name for step in ended.steps] == PBX
    assert ended.passed


async def test_where_mailboxes_are_polled_nobody_is_subscribed_to(
    calendar: Services, exchange: ExchangeSimulator
) -> None:
    ended = await check(calendar, Given(None, exchange_settings(exchange, detection="poll"), ANNA))
    assert [step.name for step in ended.steps] == EXCHANGE[:-2]
    assert ended.passed
    assert list(exchange.subscriptions) == []


@pytest.mark.parametrize("name", ["exchange", "pbx"])
async def test_settings_that_are_missing_are_named(calendar: Services, name: str) -> None:
    given = Given(None, ExchangeSettings()) if name == "exchange" else Given(PbxSettings(address="pbx"), None)
    ended = await check(calendar, given)
    first = ended.steps[0]
    step = assert_breaks_at(ended, first.name, *(each.name for each in ended.steps[1:]))
    missing = "exchange.sync_type" if name == "exchange" else "pbx.name, pbx.password"
    assert step.text == f"Not filled in: {missing}."


# ---- Exchange


AFTER_SIGN_IN = EXCHANGE[2:]


@pytest.mark.parametrize(
    ("break_it", "changes", "text", "remedy"),
    [
        (None, {"password": "wrong"}, "refused the account (HTTP 401)", "user and password"),
        (None, {"certificate": ""}, "not trusted or is for another name (Certificate)", "authority"),
        (None, {"url": "nowhere.invalid"}, "host name of Exchange is not known (NoConnection)", "DNS"),
        (None, {"url": "127.0.0.1:1"}, "cannot be reached (NoConnection)", "firewall"),
        ({"kind": "status", "status": 403}, {}, "forbids access to EWS (HTTP 403)", "virtual directory"),
        ({"kind": "status", "status": 500}, {}, "failed internally (HTTP 500)", "event log"),
        ({"kind": "login_page"}, {}, "A web page (HTML) answered", "proxy"),
        ({"kind": "close"}, {}, "broke the connection off", "services"),
    ],
)
async def test_what_keeps_exchange_from_answering_fails_the_sign_in(
    calendar: Services,
    exchange: ExchangeSimulator,
    break_it: dict[str, Any] | None,
    changes: dict[str, Any],
    text: str,
    remedy: str,
) -> None:
    if break_it:
        exchange.add_fault(**break_it)
    ended = await check(calendar, Given(None, exchange_settings(exchange, **changes), ANNA))
    step = assert_breaks_at(ended, "exchange.sign_in", *AFTER_SIGN_IN)
    assert text in step.text
    assert remedy in step.remedy


async def test_a_wrong_password_is_tried_once(calendar: Services, exchange: ExchangeSimulator) -> None:
    """Repeats lock an account."""
    given = exchange_settings(exchange, password="wrong", channel_binding="on")
    await check(calendar, Given(None, given, ANNA))
    assert exchange.statistics.refused_sign_ins == 1


async def test_an_unknown_mailbox_is_said(calendar: Services, exchange: ExchangeSimulator) -> None:
    ended = await check(calendar, Given(None, exchange_settings(exchange), "nobody@example.com"))
    step = assert_breaks_at(ended, "exchange.mailbox", *EXCHANGE[4:])
    assert step.text == "Exchange knows no mailbox with this address."


@pytest.mark.parametrize(
    ("operation", "code", "broken", "untried", "text"),
    [
        ("ResolveNames", "ErrorImpersonationDenied", "exchange.mailbox", EXCHANGE[4:], "may not impersonate"),
        ("FindItem", "ErrorAccessDenied", "exchange.reading", [], "denies access to this mailbox"),
        (
            "Subscribe",
            "ErrorInvalidPushSubscriptionUrl",
            "exchange.subscription",
            EXCHANGE[6:],
            "callback address",
        ),
    ],
)
async def test_what_exchange_refuses_is_said_at_its_step(
    calendar: Services,
    exchange: ExchangeSimulator,
    operation: str,
    code: str,
    broken: str,
    untried: list[str],
    text: str,
) -> None:
    exchange.add_fault("response", operation=operation, code=code)
    ended = await check(calendar, Given(None, exchange_settings(exchange), ANNA))
    step = assert_breaks_at(ended, broken, *untried)
    assert text in step.text
    assert f"({code})" in step.text


async def test_a_callback_that_never_comes_says_what_to_open(
    calendar: Services, exchange: ExchangeSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking_exchange, "PATIENCE", 1.5)
    monkeypatch.setattr(Services, "checker", _with_callbacks_to("http://127.0.0.1:1"))
    ended = await check(calendar, Given(None, exchange_settings(exchange), ANNA))
    step = assert_breaks_at(ended, "exchange.callback")
    assert "Mailbox servers" in step.remedy


def _with_callbacks_to(base: str) -> Callable[[Services], Checker]:
    original = Services.checker

    def checker(calendar: Services) -> Checker:
        calendar.callbacks = replace(calendar.callbacks, base=base)
        return original(calendar)

    return checker


async def test_a_stranger_confirms_nothing(calendar: Services, pbx: PbxSimulator) -> None:
    identity = await calendar.checker().begin(Given(pbx_settings(pbx), None))
    request = func.HttpRequest(
        "POST",
        "https://calendar.example.com/",
        route_params={"guid": callback_of(identity), "secret": "0" * 40},
        body=b"<x/>",
    )
    assert (await function(request)).status_code == 404
    assert not await calendar.checks.is_confirmed(identity)


async def test_discovery_tells_each_of_its_steps(calendar: Services, exchange: ExchangeSimulator) -> None:
    """No host of the simulated world has a name in DNS: everything is tried, in vain."""
    given = exchange_settings(exchange, url="", user="calendar@nowhere.invalid")
    ended = await check(calendar, Given(None, given, ANNA))
    step = assert_breaks_at(ended, "exchange.discovery", *EXCHANGE[1:])
    assert len(step.details) == 6
    assert step.details[0].startswith("json https://autodiscover.nowhere.invalid/")
    assert step.details[0].endswith(": NoConnection, passed over")
    assert "publish Autodiscover" in step.remedy


async def test_what_autodiscover_found_is_told_with_its_doubts(
    calendar: Services, exchange: ExchangeSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def find(search: Any, settings: ExchangeSettings) -> Any:
        del settings
        while (ask := search.next()) is not None:
            if ask.url.startswith("http://"):
                search.answer(
                    302, {"location": "https://mail.example.com/autodiscover/autodiscover.xml"}, b""
                )
            elif "mail.example.com" in ask.url:
                search.answer(200, {}, _POX.replace(b"EWS", exchange.ews_url.encode()))
            else:
                search.answer(404, {}, b"")
        return search.found

    monkeypatch.setattr(services, "find_exchange", find)
    ended = await check(calendar, Given(None, exchange_settings(exchange, url=""), ANNA))
    steps = steps_of(ended)
    assert steps["exchange.discovery"].outcome is Outcome.WARNING
    assert steps["exchange.discovery"].text == f"Found by autodiscover: {exchange.ews_url}."
    assert "No external address is offered" in steps["exchange.discovery"].remedy
    assert "redirection over http" in steps["exchange.discovery"].remedy
    assert ended.passed, "a warning keeps nothing from working"


_POX = (
    b'<Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006">'
    b'<Response xmlns="http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a">'
    b"<Account><AccountType>email</AccountType><Action>settings</Action><Protocol><Type>EXCH</Type>"
    b"<EwsUrl>EWS</EwsUrl></Protocol></Account></Response></Autodiscover>"
)


async def test_a_cloud_that_refuses_the_secret_fails_the_sign_in(
    calendar: Services, exchange: ExchangeSimulator
) -> None:
    async with EntraSimulator(key=SigningKey()) as entra:
        calendar._authority = entra.url
        given = exchange_settings(
            exchange,
            sync_type="cloud-app-only",
            client_id=entra.application.client_id,
            tenant_id=entra.directory.tenants[0].id,
            client_secret="another",
            certificate=entra.ca_pem + exchange.ca_pem.decode(),
        )
        ended = await check(calendar, Given(None, given, ANNA))
    step = assert_breaks_at(ended, "exchange.sign_in", *AFTER_SIGN_IN)
    assert "secret" in step.text + step.remedy


# ---- the PBX


@pytest.mark.parametrize(
    ("changes", "text", "remedy"),
    [
        ({"password": "wrong"}, "refused the app", "App object"),
        ({"certificate": ""}, "certificate is not trusted", "Configure the certificate"),
        ({"address": "nowhere.invalid"}, "no connection to the PBX", "PBX is running"),
    ],
)
async def test_what_keeps_us_from_the_pbx_fails_the_login(
    calendar: Services, pbx: PbxSimulator, changes: dict[str, Any], text: str, remedy: str
) -> None:
    ended = await check(calendar, Given(pbx_settings(pbx, **changes), None))
    step = assert_breaks_at(ended, "pbx.login", *PBX[1:])
    assert text in step.text
    assert remedy in step.remedy


async def test_another_pbx_is_named_with_both_names(calendar: Services, pbx: PbxSimulator) -> None:
    ended = await check(calendar, Given(pbx_settings(pbx, name="headquarters"), None))
    step = assert_breaks_at(ended, "pbx.name", *PBX[2:])
    assert "'master'" in step.text
    assert "'headquarters'" in step.text


@pytest.mark.parametrize("lacking", ["PbxTableUsers", "PbxApi"])
async def test_a_right_that_is_missing_is_named(calendar: Services, lacking: str) -> None:
    apis = {"PbxAdminApi", "PbxApi", "PbxTableUsers"} - {lacking}
    async with PbxSimulator(users=[{"h323": "anna"}], apis=apis) as pbx:
        ended = await check(calendar, Given(pbx_settings(pbx), None))
    step = assert_breaks_at(ended, "pbx.apis", "pbx.user")
    called = {"PbxTableUsers": "TableUsers"}.get(lacking, lacking)
    assert step.text == f"Not granted: {called}."
    assert "App object" in step.remedy


async def test_without_the_admin_api_the_name_is_a_warning(calendar: Services) -> None:
    apis = {"PbxApi", "PbxTableUsers"}
    async with PbxSimulator(users=[{"h323": "anna"}], apis=apis) as pbx:
        ended = await check(calendar, Given(pbx_settings(pbx), None))
    outcomes = [step.outcome for step in ended.steps]
    assert outcomes == [Outcome.PASSED, Outcome.WARNING, Outcome.WARNING, Outcome.PASSED]
    assert "Tick Admin" in ended.steps[1].remedy
    assert ended.passed


async def test_an_api_that_never_answers_is_not_granted(calendar: Services) -> None:
    def hasty(settings: PbxSettings) -> AbstractAsyncContextManager[PbxSession]:
        return open_session(services_link(settings), patience=0.3)

    apis = {"PbxAdminApi", "PbxTableUsers"}
    async with PbxSimulator(users=[{"h323": "anna"}], apis=apis, ungranted="silence") as pbx:
        part = PbxPart(pbx_settings(pbx), hasty)
        checker = replace(calendar.checker(), divide=lambda given: [(PLAN, part)])
        identity = await checker.begin(Given(pbx_settings(pbx), None))
        await checker.run(identity)
    ended = await calendar.checks.get(identity, services.now())
    assert ended is not None
    step = assert_breaks_at(ended, "pbx.apis", "pbx.user")
    assert "PbxApi: not granted (no answer)" in step.details


def services_link(settings: PbxSettings) -> PbxLink:
    return PbxLink(
        settings.url,
        settings.name,
        settings.app,
        settings.password.get_secret_value(),
        settings.certificate,
    )


async def test_a_pbx_without_users_is_a_warning(calendar: Services) -> None:
    async with PbxSimulator() as pbx:
        ended = await check(calendar, Given(pbx_settings(pbx), None))
    assert steps_of(ended)["pbx.user"].outcome is Outcome.WARNING


# ---- the record


async def test_a_check_that_was_broken_off_is_ended_and_not_repeated(
    calendar: Services, pbx: PbxSimulator
) -> None:
    identity = await calendar.checker().begin(Given(pbx_settings(pbx), None))
    assert await calendar.checks.take(identity) is not None  # and then the worker was killed
    await run_check(func.QueueMessage(body=identity.encode()))
    ended = await calendar.checks.get(identity, services.now())
    assert ended is not None
    assert ended.done
    assert {(step.outcome, step.text) for step in ended.steps} == {
        (Outcome.NOT_TRIED, "The check was broken off.")
    }
    assert pbx.statistics.sessions == 0
    await give_up(func.QueueMessage(body=identity.encode()))
    assert await calendar.checks.get(identity, services.now()) == ended


async def test_a_check_that_takes_too_long_is_ended(calendar: Services, pbx: PbxSimulator) -> None:
    pbx.faults.delay = 30.0
    checker = replace(calendar.checker(), deadline=0.5)
    identity = await checker.begin(Given(pbx_settings(pbx), None))
    await checker.run(identity)
    ended = await calendar.checks.get(identity, services.now())
    assert ended is not None
    assert ended.done
    assert [step.outcome for step in ended.steps] == [Outcome.FAILED, *[Outcome.NOT_TRIED] * 3]
    assert ended.steps[0].text == "It took too long."


async def test_a_fault_of_this_software_ends_its_step_only(
    calendar: Services, pbx: PbxSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(self: PbxSession) -> str:
        raise RuntimeError("no")

    monkeypatch.setattr(PbxSession, "answer_for_nobody", fail)
    ended = await check(calendar, Given(pbx_settings(pbx), None))
    step = assert_breaks_at(ended, "pbx.apis", "pbx.user")
    assert step.text == "An error in this software."


async def test_a_check_is_gone_after_a_day(calendar: Services, pbx: PbxSimulator) -> None:
    identity = await calendar.checker().begin(Given(pbx_settings(pbx), None))
    later = services.now() + timedelta(days=1, minutes=1)
    assert await calendar.checks.get(identity, later) is None
    await replace(calendar.checker(), clock=lambda: later).begin(Given(pbx_settings(pbx), None))
    rows = [row["RowKey"] async for row in calendar.storage.table("checks").query("PartitionKey ne ''")]
    assert len(rows) == 1
    assert identity not in rows


@pytest.mark.parametrize("identity", ["", "x" * 32])
async def test_a_check_that_does_not_exist_is_nothing(calendar: Services, identity: str) -> None:
    assert await calendar.checks.get(identity or "0" * 32, services.now()) is None
    await run_check(func.QueueMessage(body=(identity or "0" * 32).encode()))
    await calendar.checks.confirm("0" * 32, services.now())
    assert not await calendar.checks.is_confirmed("0" * 32)


async def test_settings_that_are_too_long_are_refused_before_anything_begins(
    calendar: Services, pbx: PbxSimulator
) -> None:
    many = "\n".join(pbx.ca_pem for _ in range(60))
    with pytest.raises(SettingsError, match="too long"):
        await calendar.checker().begin(Given(pbx_settings(pbx, certificate=many), None))
    assert await calendar.storage.waiting("checks") == 0
