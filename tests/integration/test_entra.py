"""Sign-in to Exchange in the cloud: a real table, several processes, tokens that somebody checks."""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from aiohttp import web
from cryptography.fernet import Fernet

from dev.entra import EntraSimulator, Fault, InvalidToken, SigningKey
from shared.auth.application import ApplicationTokens
from shared.auth.bearer import BearerTransport
from shared.auth.delegated import DelegatedTokens
from shared.auth.entra import Registration
from shared.auth.sign_in import Access, SignIn, SignInStore
from shared.cipher import Cipher
from shared.errors import SettingsError, SignInRefused, StateConflict
from shared.ews.transport import tls_context
from shared.state.storage import Storage
from shared.state.tokens import TokenStore
from tests.unit.auth.browsing import REDIRECT_URI, answer_of, sign_in
from tests.unit.auth.memory import MemoryStore

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SIGN_IN = SignIn(
    "calendar@example.com", NOW, NOW + MINUTE, Access("access-1", NOW + 60 * MINUTE), "refresh-1"
)
OTHER = SignIn("other@example.com", NOW, NOW, None, "refresh-2", "AADSTS50173")
KEY = Fernet.generate_key().decode()


@pytest.fixture(scope="session")
def key() -> SigningKey:
    """Making one takes a while."""
    return SigningKey()


@pytest.fixture
async def entra(key: SigningKey) -> AsyncIterator[EntraSimulator]:
    async with EntraSimulator(key=key) as entra:
        yield entra


@pytest.fixture
def tls(entra: EntraSimulator) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=entra.ca_pem)


@pytest.fixture
def table(storage: Storage) -> TokenStore:
    return TokenStore(storage, Cipher([KEY]))


@pytest.fixture(params=["table", "memory"])
def store(request: pytest.FixtureRequest, table: TokenStore) -> SignInStore:
    """The table, and the double that takes its place elsewhere: they keep the same rules."""
    return table if request.param == "table" else MemoryStore()


async def test_a_sign_in_is_kept_as_it_was(store: SignInStore) -> None:
    assert await store.load() is None
    for given in (SIGN_IN, OTHER):
        await store.put(given)
        held = await store.load()
        assert held
        assert (held.sign_in, held.claimed_until) == (given, None)
    await store.delete()
    await store.delete()
    assert await store.load() is None


async def test_one_of_many_replaces_a_sign_in_that_all_have_read(store: SignInStore) -> None:
    await store.put(SIGN_IN)
    held = await store.load()
    assert held
    claims = await asyncio.gather(
        *(store.replace(held, SIGN_IN, NOW + MINUTE) for _ in range(5)), return_exceptions=True
    )
    assert len([claim for claim in claims if isinstance(claim, StateConflict)]) == 4
    claimed = await store.load()
    assert claimed
    assert claimed.claimed_until == NOW + MINUTE
    done = await store.replace(claimed, OTHER)
    assert done == await store.load()


async def test_a_sign_in_that_was_forgotten_or_made_anew_is_not_replaced(store: SignInStore) -> None:
    await store.put(SIGN_IN)
    held = await store.load()
    assert held
    await store.put(SIGN_IN)
    with pytest.raises(StateConflict):
        await store.replace(held, OTHER)
    held = await store.load()
    assert held
    await store.delete()
    with pytest.raises(StateConflict):
        await store.replace(held, OTHER)
    assert await store.load() is None


async def test_a_flow_is_given_out_once_and_in_time(store: SignInStore) -> None:
    await store.keep_flow("a", "flow-a", NOW + MINUTE, NOW)
    await store.keep_flow("b", "flow-b", NOW + MINUTE, NOW)
    got = await asyncio.gather(*(store.take_flow("a", NOW) for _ in range(5)))
    assert sorted(got, key=str) == [None, None, None, None, "flow-a"]
    assert await store.take_flow("b", NOW + MINUTE) is None
    assert await store.take_flow("b", NOW) is None
    for state in ("unknown", "", "../a", "\ud800", "x" * 5000):
        assert await store.take_flow(state, NOW) is None


async def test_flows_whose_time_is_over_are_forgotten(storage: Storage, table: TokenStore) -> None:
    await table.keep_flow("old", "flow", NOW + MINUTE, NOW)
    await table.keep_flow("young", "flow", NOW + 3 * MINUTE, NOW)
    await table.keep_flow("new", "flow", NOW + 4 * MINUTE, NOW + MINUTE)
    left = [row async for row in storage.table("tokens").query("PartitionKey eq 'flow'")]
    assert len(left) == 2


async def test_nothing_can_be_read_in_the_table(storage: Storage, table: TokenStore) -> None:
    await table.put(SIGN_IN)
    await table.keep_flow("the-state", "the-flow", NOW + MINUTE, NOW)
    rows = [row async for row in storage.table("tokens").query("PartitionKey ne ''")]
    assert len(rows) == 2
    for hidden in ("calendar@example.com", "access-1", "refresh-1", "the-state", "the-flow"):
        assert hidden not in repr(rows)


async def test_a_long_cache_takes_several_properties(table: TokenStore) -> None:
    long = SignIn("calendar@example.com", NOW, NOW, None, "x" * 300_000)
    await table.put(long)
    await table.put(SIGN_IN)
    held = await table.load()
    assert held
    assert held.sign_in == SIGN_IN
    await table.put(long)
    held = await table.load()
    assert held
    assert held.sign_in == long


async def test_another_key_reads_nothing(storage: Storage, table: TokenStore) -> None:
    await table.put(SIGN_IN)
    stranger = TokenStore(storage, Cipher([Fernet.generate_key().decode()]))
    with pytest.raises(SettingsError, match="CALENDAR_ENCRYPTION_KEYS"):
        await stranger.load()
    rotated = TokenStore(storage, Cipher([Fernet.generate_key().decode(), KEY]))
    held = await rotated.load()
    assert held
    assert held.sign_in == SIGN_IN


def registration_of(entra: EntraSimulator) -> Registration:
    tenant = entra.directory.tenants[0].id
    return Registration(entra.application.client_id, tenant, "secret", authority=entra.url)


def in_an_hour() -> datetime:
    return datetime.now(UTC) + timedelta(hours=1)


async def test_instances_share_a_sign_in_through_the_table(
    entra: EntraSimulator, tls: ssl.SSLContext, storage: Storage, table: TokenStore
) -> None:
    one = DelegatedTokens(registration_of(entra), tls, table)
    signed_in = await one.complete(
        await answer_of(await one.begin(REDIRECT_URI, "calendar@example.com"), tls)
    )
    others = [
        DelegatedTokens(registration_of(entra), tls, TokenStore(storage, Cipher([KEY])), now=in_an_hour)
        for _ in range(3)
    ]
    entra.faults.append(Fault("token", delay=0.3))
    got = await asyncio.gather(*(tokens.token() for tokens in others))
    assert len(set(got)) == 1
    assert entra.verify(got[0])["upn"] == "calendar@example.com"
    assert (entra.statistics.tokens["refresh_token"], entra.statistics.reused) == (1, 0)
    state = await one.state()
    assert state
    assert state.renewed_at > signed_in.renewed_at
    await others[0].revoke()
    assert await others[1].state() is None
    for tokens in (one, *others):
        await tokens.aclose()


async def test_processes_that_renew_at_once_use_the_refresh_token_once(
    entra: EntraSimulator, tls: ssl.SSLContext, azurite: str, table: TokenStore
) -> None:
    tokens = DelegatedTokens(registration_of(entra), tls, table)
    await sign_in(tokens, tls)
    first = await tokens.token()
    order = {
        "environment": json.dumps(
            {
                "AzureWebJobsStorage": azurite,
                "CALENDAR_ENCRYPTION_KEYS": KEY,
                "CALENDAR_CALLBACK_URL": "https://calendar.example.com",
            }
        ),
        "client_id": entra.application.client_id,
        "tenant": entra.directory.tenants[0].id,
        "authority": entra.url,
        "ca": entra.ca_pem,
    }
    pipe = asyncio.subprocess.PIPE
    processes = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.integration.renewing", json.dumps(order)),
            cwd=ROOT,
            stdin=pipe,
            stdout=pipe,
        )
        for _ in range(2)
    ]
    outputs = [process.stdout for process in processes if process.stdout]
    assert [await output.readline() for output in outputs] == [b"ready\n", b"ready\n"]
    entra.faults.append(Fault("token", delay=0.5))
    got = await asyncio.gather(*(process.communicate(b"\n") for process in processes))
    shown = {output.decode().strip() for output, _ in got}
    assert [process.returncode for process in processes] == [0, 0]
    assert len(shown) == 1
    assert first not in shown
    entra.verify(shown.pop())
    assert (entra.statistics.tokens["refresh_token"], entra.statistics.reused) == (1, 0)
    await tokens.aclose()


class Exchange:
    """A server that does one thing: it checks tokens, over TLS."""

    def __init__(self, entra: EntraSimulator, authority: trustme.CA) -> None:
        self._entra, self._authority = entra, authority
        self.answers: list[int] = []
        self.withdrawn: set[str] = set()

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
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        try:
            good = bool(self._entra.verify(token).get("roles")) and token not in self.withdrawn
        except InvalidToken:
            good = False
        self.withdrawn |= {token} if not self.answers else set()
        self.answers.append(200 if good else 401)
        return web.Response(status=self.answers[-1])


async def test_the_application_is_let_in_and_after_a_401_once_more(entra: EntraSimulator) -> None:
    authority = trustme.CA()
    tls = tls_context(entra.ca_pem + authority.cert_pem.bytes().decode())
    async with Exchange(entra, authority) as exchange:
        tokens = ApplicationTokens(registration_of(entra), tls)
        transport = BearerTransport(tokens, tls, [exchange.url])
        for _ in range(3):
            assert (await transport.post(exchange.url, {}, b"<x/>")).status == 200
        assert exchange.answers == [200, 401, 200, 200]
        assert entra.statistics.tokens["client_credentials"] == 2
        with pytest.raises(SettingsError):
            await transport.post(exchange.url.replace("https", "http"), {}, b"<x/>")
        await transport.aclose()


async def test_an_application_without_its_role_is_told_so(entra: EntraSimulator) -> None:
    authority = trustme.CA()
    tls = tls_context(entra.ca_pem + authority.cert_pem.bytes().decode())
    entra.application.roles = []
    async with Exchange(entra, authority) as exchange:
        transport = BearerTransport(ApplicationTokens(registration_of(entra), tls), tls, [exchange.url])
        with pytest.raises(SignInRefused, match="full_access_as_app"):
            await transport.post(exchange.url, {}, b"<x/>")
        await transport.aclose()
    assert exchange.answers == [401, 401]
