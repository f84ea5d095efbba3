"""The configuration decides how Exchange is signed in to: from the stored section to the request."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import trustme
from aiohttp import web
from lxml import etree

from dev.entra import EntraSimulator, InvalidToken, SigningKey
from functions.services import Services
from shared.environment import Environment
from shared.errors import InvalidSettings, SignInRefused
from shared.settings import ExchangeSettings, parse_section
from shared.state.storage import Storage
from tests.storage import environment_of
from tests.unit.auth.browsing import REDIRECT_URI, answer_of

pytestmark = pytest.mark.integration

USER = "calendar@example.com"
NOBODY = (
    '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"'
    ' xmlns:m="http://schemas.microsoft.com/exchange/services/2006/messages"><s:Body><m:ResolveNamesResponse>'
    '<m:ResponseMessages><m:ResolveNamesResponseMessage ResponseClass="Error"><m:MessageText/>'
    "<m:ResponseCode>ErrorNameResolutionNoResults</m:ResponseCode></m:ResolveNamesResponseMessage>"
    "</m:ResponseMessages></m:ResolveNamesResponse></s:Body></s:Envelope>"
)


class Exchange:
    """Exchange Online that knows nobody: it lets tokens of Entra ID in and notes who asks, and as whom."""

    def __init__(self, entra: EntraSimulator) -> None:
        self._entra = entra
        self._authority = trustme.CA()
        self.asked: list[tuple[str, str]] = []

    @property
    def ca_pem(self) -> str:
        return self._authority.cert_pem.bytes().decode()

    async def __aenter__(self) -> Exchange:
        application = web.Application()
        application.router.add_post("/EWS/Exchange.asmx", self._answer)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._authority.issue_cert("127.0.0.1").configure_cert(context)
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=context).start()
        self.url = f"https://127.0.0.1:{self._runner.addresses[0][1]}/EWS/Exchange.asmx"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        try:
            claims = self._entra.verify(request.headers.get("authorization", "").removeprefix("Bearer "))
        except InvalidToken:
            return web.Response(status=401)
        envelope = etree.fromstring(await request.read())
        impersonated = envelope.findtext(".//{*}ExchangeImpersonation//{*}PrimarySmtpAddress") or ""
        self.asked.append((claims.get("upn", "the application"), impersonated))
        return web.Response(text=NOBODY, content_type="text/xml")


@pytest.fixture
async def entra() -> AsyncIterator[EntraSimulator]:
    async with EntraSimulator(key=SigningKey()) as entra:
        yield entra


@pytest.fixture
async def exchange(entra: EntraSimulator) -> AsyncIterator[Exchange]:
    async with Exchange(entra) as exchange:
        yield exchange


@pytest.fixture
def environment(storage: Storage, azurite: str, entra: EntraSimulator) -> Environment:
    return replace(environment_of(azurite), authority=entra.url)


@pytest.fixture
async def services(environment: Environment) -> AsyncIterator[Services]:
    services = Services(environment)
    yield services
    await services.close()


async def configured(
    services: Services, entra: EntraSimulator, exchange: Exchange, **values: Any
) -> ExchangeSettings:
    """The section as it comes back from the store."""
    given = {
        "user": USER,
        "url": exchange.url,
        "client_id": entra.application.client_id,
        "tenant_id": entra.directory.tenants[0].id,
        "client_secret": "secret",
        "certificate": entra.ca_pem + exchange.ca_pem,
        "secret_expires_on": "2027-05-31",
    }
    section = parse_section("exchange", given | values)
    await services.config.save("exchange", section, None, "test", datetime.now(UTC))
    stored = (await services.config.load()).exchange
    assert stored == section
    return stored


async def test_the_application_asks_in_the_users_name(
    services: Services, entra: EntraSimulator, exchange: Exchange
) -> None:
    settings = await configured(services, entra, exchange, sync_type="cloud-app-only")
    source = services._source(settings)
    assert await source.find_mailbox("anna@example.com") is None
    assert exchange.asked == [("the application", USER)]
    assert services._source(settings) is source


async def test_the_application_may_let_candidates_resolve_themselves(
    services: Services, entra: EntraSimulator, exchange: Exchange
) -> None:
    wish = {"sync_type": "cloud-app-only", "name_resolving": "candidate users"}
    settings = await configured(services, entra, exchange, **wish)
    await services._source(settings).find_mailbox("anna@example.com")
    assert exchange.asked == [("the application", "anna@example.com")]


async def test_who_signed_in_asks_in_their_own_name(
    services: Services, entra: EntraSimulator, exchange: Exchange, environment: Environment
) -> None:
    settings = await configured(services, entra, exchange, sync_type="cloud-delegated")
    source = services._source(settings)
    with pytest.raises(SignInRefused, match="Authenticate"):
        await source.find_mailbox("anna@example.com")
    tls = ssl.create_default_context(cadata=entra.ca_pem)
    other = Services(environment)  # the instance that serves the administrator
    signing = other.sign_in(settings)
    await signing.complete(await answer_of(await signing.begin(REDIRECT_URI, USER), tls))
    assert await source.find_mailbox("anna@example.com") is None
    assert exchange.asked == [(USER, "")]
    await signing.aclose()
    await other.close()


async def test_the_secret_is_stored_encrypted(
    services: Services, entra: EntraSimulator, exchange: Exchange, storage: Storage
) -> None:
    await configured(services, entra, exchange, sync_type="cloud-app-only", client_secret="kept-to-ourselves")
    rows = [row async for row in storage.table("config").query("PartitionKey ne ''")]
    assert rows
    assert "kept-to-ourselves" not in repr(rows)


async def test_without_a_simulated_authority_the_clouds_own_signs_in(environment: Environment) -> None:
    values = {
        "AzureWebJobsStorage": environment.storage,
        "CALENDAR_ENCRYPTION_KEYS": environment.encryption_keys[0],
        "CALENDAR_CALLBACK_URL": "https://calendar.example.com",
    }
    assert Environment.read(values).authority == ""
    simulated = Environment.read(values | {"CALENDAR_AUTHORITY": "https://localhost:7076/"})
    assert simulated.authority == "https://localhost:7076"
    for wrong in ("http://localhost:7076", "https://user:pw@localhost", "x y"):
        with pytest.raises(InvalidSettings, match="CALENDAR_AUTHORITY"):
            Environment.read(values | {"CALENDAR_AUTHORITY": wrong})
