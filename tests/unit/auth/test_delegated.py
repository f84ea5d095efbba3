"""Somebody signs in once, and the service goes on: MSAL unchanged, against the simulated Entra ID."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
import traceback
import warnings
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from dev.entra import Account, EntraSimulator, Fault, Secret, Tenant
from shared.auth.delegated import DelegatedTokens
from shared.auth.entra import ANY_ORGANIZATION
from shared.auth.sign_in import Held, SignIn
from shared.errors import ExchangeUnavailable, SettingsError, SignInRefused
from tests.unit.auth.browsing import REDIRECT_URI, USER, answer_of, sign_in
from tests.unit.auth.conftest import Clock
from tests.unit.auth.memory import MemoryStore
from tests.unit.auth.test_application import registration_of

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


class Instances:
    """Several instances of the service that share a store."""

    def __init__(self, entra: EntraSimulator, tls: ssl.SSLContext, store: MemoryStore, clock: Clock) -> None:
        self._entra, self._tls, self._store, self._clock = entra, tls, store, clock
        self.opened: list[DelegatedTokens] = []

    def open(self, **changes: Any) -> DelegatedTokens:
        registration = registration_of(self._entra, **changes)
        self.opened.append(DelegatedTokens(registration, self._tls, self._store, now=self._clock))
        return self.opened[-1]


@pytest.fixture
async def instances(
    entra: EntraSimulator, tls: ssl.SSLContext, store: MemoryStore, clock: Clock
) -> AsyncIterator[Instances]:
    instances = Instances(entra, tls, store, clock)
    yield instances
    for tokens in instances.opened:
        await tokens.aclose()


@pytest.fixture
def tokens(instances: Instances) -> DelegatedTokens:
    return instances.open()


async def test_who_signed_in_gets_tokens_that_act_for_them(
    tokens: DelegatedTokens, entra: EntraSimulator, tls: ssl.SSLContext
) -> None:
    before = datetime.now(UTC)
    signed_in = await sign_in(tokens, tls)
    assert (signed_in.account, signed_in.valid) == (USER, True)
    assert before <= signed_in.signed_in_at == signed_in.renewed_at <= datetime.now(UTC)
    claims = entra.verify(await tokens.token())
    assert (claims["upn"], claims["scp"]) == (USER, "EWS.AccessAsUser.All")
    assert await tokens.state() == signed_in
    assert not entra.statistics.tokens["refresh_token"]


async def test_the_browser_is_sent_with_everything_that_protects_the_sign_in(
    tokens: DelegatedTokens, entra: EntraSimulator
) -> None:
    url = await tokens.begin(REDIRECT_URI, USER)
    assert url.startswith(f"{entra.authority}/oauth2/v2.0/authorize?")
    query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    assert query["code_challenge_method"] == "S256"
    assert len(query["code_challenge"]) == 43
    assert len(query["state"]) >= 16
    assert len(query["nonce"]) >= 16
    assert (query["response_mode"], query["redirect_uri"]) == ("form_post", REDIRECT_URI)
    assert (query["login_hint"], query["client_id"]) == (USER, entra.application.client_id)
    wanted = "https://outlook.office365.com/.default offline_access openid profile"
    assert query["scope"] == wanted
    assert parse_qs(urlsplit(await tokens.begin(REDIRECT_URI)).query)["state"] != [query["state"]]


async def test_another_instance_completes_what_one_began(
    instances: Instances, entra: EntraSimulator, tls: ssl.SSLContext
) -> None:
    one, other, third = instances.open(), instances.open(), instances.open()
    await other.complete(await answer_of(await one.begin(REDIRECT_URI, USER), tls))
    assert entra.verify(await third.token())["appid"] == entra.application.client_id


async def test_a_sign_in_that_was_not_begun_here_is_refused(
    tokens: DelegatedTokens, entra: EntraSimulator, tls: ssl.SSLContext, store: MemoryStore
) -> None:
    answer = await answer_of(await tokens.begin(REDIRECT_URI, USER), tls)
    for wrong in ({**answer, "state": "forged"}, {"code": answer["code"]}, {}, {"state": "\ud800"}):
        with pytest.raises(SignInRefused) as caught:
            await tokens.complete(wrong)
        assert caught.value.code == "SignInUnknown"
    assert not entra.statistics.tokens
    assert store.held is None
    await tokens.complete(answer)


async def test_a_sign_in_is_completed_once(tokens: DelegatedTokens, tls: ssl.SSLContext) -> None:
    answer = await answer_of(await tokens.begin(REDIRECT_URI, USER), tls)
    await tokens.complete(answer)
    with pytest.raises(SignInRefused, match="Begin it again"):
        await tokens.complete(answer)


async def test_a_sign_in_takes_ten_minutes_at_most(
    tokens: DelegatedTokens, tls: ssl.SSLContext, clock: Clock
) -> None:
    answer = await answer_of(await tokens.begin(REDIRECT_URI, USER), tls)
    late = await answer_of(await tokens.begin(REDIRECT_URI, USER), tls)
    clock.forward(10 * MINUTE - timedelta(seconds=5))
    await tokens.complete(answer)
    clock.forward(timedelta(seconds=5))
    with pytest.raises(SignInRefused, match="Begin it again"):
        await tokens.complete(late)


async def test_a_code_of_another_sign_in_is_refused(
    tokens: DelegatedTokens, tls: ssl.SSLContext, store: MemoryStore
) -> None:
    mine = await answer_of(await tokens.begin(REDIRECT_URI, USER), tls)
    theirs = await answer_of(await tokens.begin(REDIRECT_URI, USER), tls)
    with pytest.raises(SignInRefused) as caught:
        await tokens.complete({**mine, "code": theirs["code"]})
    assert caught.value.code == "AADSTS501481"
    assert store.held is None


async def test_an_identity_of_another_request_is_refused(
    tokens: DelegatedTokens, tls: ssl.SSLContext, store: MemoryStore
) -> None:
    url = await tokens.begin(REDIRECT_URI, USER)
    with pytest.raises(SignInRefused) as caught:
        await tokens.complete(await answer_of(url, tls, nonce="another"))
    assert caught.value.code == "SignInUnknown"
    assert caught.value.__cause__ is None
    assert store.held is None


async def test_what_entra_id_refuses_in_the_browser_is_explained(
    tokens: DelegatedTokens, entra: EntraSimulator, tls: ssl.SSLContext
) -> None:
    entra.application.scopes = []
    with pytest.raises(SignInRefused, match=r"exchange\.client_id: nobody has consented") as caught:
        await sign_in(tokens, tls)
    assert caught.value.code == "AADSTS65001"
    url = await tokens.begin(REDIRECT_URI, USER)
    state = parse_qs(urlsplit(url).query)["state"][0]
    with pytest.raises(SignInRefused) as caught:
        await tokens.complete({"state": state, "error": "access_denied", "error_description": "<script>"})
    assert (caught.value.code, "<script>" in str(caught.value)) == ("access_denied", False)


async def test_without_a_refresh_token_a_sign_in_is_worth_nothing(
    tokens: DelegatedTokens, entra: EntraSimulator, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    give = entra.grants.for_code
    monkeypatch.setattr(
        entra.grants,
        "for_code",
        lambda *given: {k: v for k, v in give(*given).items() if k != "refresh_token"},
    )
    with pytest.raises(SignInRefused, match="offline_access"):
        await sign_in(tokens, tls)
    assert await tokens.state() is None


async def test_an_account_of_another_organization_may_sign_in_where_that_is_allowed(
    instances: Instances, entra: EntraSimulator, tls: ssl.SSLContext
) -> None:
    other = Tenant(domains=["other.example.com"])
    entra.directory.tenants.append(other)
    entra.directory.accounts.append(Account(other.id, "bob@other.example.com"))
    entra.application.multi_tenant = True
    tokens = instances.open(tenant=ANY_ORGANIZATION)
    await sign_in(tokens, tls, "bob@other.example.com")
    assert entra.verify(await tokens.token())["tid"] == other.id


async def test_without_a_sign_in_there_is_no_token(tokens: DelegatedTokens, entra: EntraSimulator) -> None:
    assert await tokens.state() is None
    with pytest.raises(SignInRefused, match=r"exchange\.user: nobody has signed in") as caught:
        await tokens.token()
    assert caught.value.code == "NotSignedIn"
    assert entra.statistics.discoveries == 0


async def test_a_token_is_renewed_before_its_end_and_the_new_refresh_token_kept(
    tokens: DelegatedTokens, entra: EntraSimulator, tls: ssl.SSLContext, clock: Clock
) -> None:
    signed_in = await sign_in(tokens, tls)
    first = await tokens.token()
    clock.forward(HOUR - 6 * MINUTE)
    assert await tokens.token() == first
    for renewals in (1, 2, 3):
        clock.forward(2 * MINUTE)
        assert await tokens.token(refused=first) != first
        clock.forward(HOUR)
        first = await tokens.token()
        assert entra.statistics.tokens["refresh_token"] == 2 * renewals
    state = await tokens.state()
    assert state
    assert (state.account, state.signed_in_at) == (USER, signed_in.signed_in_at)
    assert state.renewed_at > signed_in.signed_in_at + 3 * HOUR
    assert entra.statistics.reused == 0


async def test_a_process_asks_the_store_once_a_minute_only(
    tokens: DelegatedTokens, tls: ssl.SSLContext, store: MemoryStore, clock: Clock
) -> None:
    await sign_in(tokens, tls)
    for _ in range(5):
        await tokens.token()
    assert store.loads == 1
    clock.forward(MINUTE)
    await tokens.token()
    assert store.loads == 2


async def test_instances_that_renew_at_once_use_the_refresh_token_once(
    instances: Instances, entra: EntraSimulator, tls: ssl.SSLContext, clock: Clock
) -> None:
    several = [instances.open() for _ in range(4)]
    await sign_in(several[0], tls)
    clock.forward(HOUR)
    entra.faults.append(Fault("token", delay=0.3))
    got = await asyncio.gather(*(tokens.token() for tokens in several for _ in range(3)))
    assert len(set(got)) == 1
    assert entra.statistics.tokens["refresh_token"] == 1
    assert (entra.statistics.reused, entra.statistics.refusals) == (0, {})


async def test_a_refused_token_is_replaced_once_for_all_instances(
    instances: Instances, entra: EntraSimulator, tls: ssl.SSLContext
) -> None:
    one, other = instances.open(), instances.open()
    await sign_in(one, tls)
    old = await one.token()
    assert await other.token() == old
    got = await asyncio.gather(one.token(refused=old), other.token(refused=old))
    assert got[0] == got[1] != old
    assert entra.statistics.tokens["refresh_token"] == 1


async def test_an_instance_that_dies_while_renewing_does_not_stop_the_others(
    tokens: DelegatedTokens, tls: ssl.SSLContext, store: MemoryStore, clock: Clock
) -> None:
    await sign_in(tokens, tls)
    clock.forward(HOUR)
    assert store.held
    await store.replace(store.held, store.held.sign_in, clock() + timedelta(seconds=1))
    began = clock()
    await tokens.token()
    assert clock() - began >= timedelta(seconds=0.8)


async def test_who_waits_too_long_for_another_instance_says_so(
    tokens: DelegatedTokens, tls: ssl.SSLContext, store: MemoryStore, clock: Clock
) -> None:
    await sign_in(tokens, tls)
    clock.forward(HOUR)
    assert store.held
    await store.replace(store.held, store.held.sign_in, clock() + 5 * MINUTE)
    waiting = asyncio.create_task(tokens.token())
    await asyncio.sleep(0.05)
    clock.forward(MINUTE)
    with pytest.raises(ExchangeUnavailable) as caught:
        await waiting
    assert caught.value.code == "SignInBusy"


@pytest.mark.parametrize("when", ["revoked", "expired", "mfa", "disabled"])
async def test_a_sign_in_that_ended_says_so_to_all_and_is_not_tried_again(
    instances: Instances, entra: EntraSimulator, tls: ssl.SSLContext, clock: Clock, when: str
) -> None:
    one, other = instances.open(), instances.open()
    await sign_in(one, tls)
    clock.forward(HOUR)
    if when == "revoked":
        entra.grants.revoke(USER)
    elif when == "expired":
        entra.faults.append(Fault("token", error="invalid_grant", code=700082))
    elif when == "mfa":
        entra.account.mfa = True
    else:
        entra.account.enabled = False
    code = {"revoked": 50173, "expired": 700082, "mfa": 50076, "disabled": 50057}[when]
    for tokens in (one, other, one):
        with pytest.raises(SignInRefused, match="Sign in again with Authenticate") as caught:
            await tokens.token()
        assert caught.value.code == f"AADSTS{code}"
    assert entra.statistics.refusals == {str(code): 1}
    state = await one.state()
    assert state
    assert (state.valid, state.refused, state.account, state.cache) == (False, f"AADSTS{code}", USER, "")


async def test_a_refusal_that_nobody_knows_wants_a_sign_in_too(
    instances: Instances, entra: EntraSimulator, tls: ssl.SSLContext, clock: Clock
) -> None:
    one, other = instances.open(), instances.open()
    await sign_in(one, tls)
    clock.forward(HOUR)
    entra.faults.append(Fault("token", error="invalid_grant", code=99999))
    for tokens in (one, other):
        with pytest.raises(SignInRefused, match="Sign in again") as caught:
            await tokens.token()
        assert caught.value.code == "AADSTS99999"


async def test_who_signs_in_again_is_served_at_once(
    instances: Instances, entra: EntraSimulator, tls: ssl.SSLContext, clock: Clock
) -> None:
    one, other = instances.open(), instances.open()
    await sign_in(one, tls)
    clock.forward(HOUR)
    entra.grants.revoke(USER)
    with pytest.raises(SignInRefused):
        await one.token()
    await sign_in(other, tls)
    entra.verify(await one.token())
    state = await one.state()
    assert state
    assert state.valid


async def test_another_account_takes_the_place_of_the_first_at_once(
    tokens: DelegatedTokens, entra: EntraSimulator, tls: ssl.SSLContext
) -> None:
    entra.directory.accounts.append(Account(entra.directory.tenants[0].id, "other@example.com"))
    await sign_in(tokens, tls)
    await tokens.token()
    await sign_in(tokens, tls, "other@example.com")
    assert entra.verify(await tokens.token())["upn"] == "other@example.com"


async def test_a_sign_in_ends_the_wait_that_a_refusal_began(
    tokens: DelegatedTokens, entra: EntraSimulator, tls: ssl.SSLContext, clock: Clock
) -> None:
    await sign_in(tokens, tls)
    clock.forward(HOUR)
    entra.faults.append(Fault("token", error="invalid_grant", code=65001, times=1))
    with pytest.raises(SignInRefused, match="consent"):
        await tokens.token()
    await sign_in(tokens, tls)
    entra.verify(await tokens.token())


async def test_a_secret_that_expired_does_not_end_the_sign_in(
    tokens: DelegatedTokens, entra: EntraSimulator, tls: ssl.SSLContext, clock: Clock, store: MemoryStore
) -> None:
    await sign_in(tokens, tls)
    clock.forward(HOUR)
    secrets, entra.application.secrets = entra.application.secrets, []
    for _ in range(3):
        with pytest.raises(SignInRefused, match=r"exchange\.client_secret"):
            await tokens.token()
    assert entra.statistics.refusals == {"7000215": 1}
    assert store.held
    assert (store.held.sign_in.valid, store.held.claimed_until) == (True, None)
    entra.application.secrets = secrets
    clock.forward(15 * MINUTE)
    entra.verify(await tokens.token())


async def test_consent_that_is_given_back_revives_the_sign_in(
    instances: Instances, entra: EntraSimulator, tls: ssl.SSLContext, clock: Clock
) -> None:
    tokens = instances.open()
    await sign_in(tokens, tls)
    clock.forward(HOUR)
    entra.faults.append(Fault("token", error="invalid_grant", code=65001, times=1))
    with pytest.raises(SignInRefused, match="consent"):
        await tokens.token()
    entra.verify(await instances.open().token())  # MSAL repeats no request that was refused in this minute


async def test_while_entra_id_is_away_nothing_is_lost(
    tokens: DelegatedTokens, entra: EntraSimulator, tls: ssl.SSLContext, clock: Clock, store: MemoryStore
) -> None:
    await sign_in(tokens, tls)
    clock.forward(HOUR)
    entra.faults.append(Fault("token", status=503, retry_after=20, times=1))
    with pytest.raises(ExchangeUnavailable) as caught:
        await tokens.token()
    assert caught.value.retry_after == timedelta(seconds=20)
    assert store.held
    assert store.held.claimed_until is None
    clock.forward(timedelta(seconds=20))
    entra.verify(await tokens.token())


async def test_revoked_is_forgotten_everywhere_within_a_minute(
    instances: Instances, tls: ssl.SSLContext, clock: Clock, store: MemoryStore
) -> None:
    one, other = instances.open(), instances.open()
    await sign_in(one, tls)
    await other.token()
    await one.revoke()
    assert store.held is None
    assert await other.state() is None
    with pytest.raises(SignInRefused):
        await one.token()
    clock.forward(MINUTE)
    with pytest.raises(SignInRefused):
        await other.token()


class RevokedMeanwhile(MemoryStore):
    """Somebody revokes, or signs in anew, just when the renewed tokens are to be stored."""

    def __init__(self, then: SignIn | None = None) -> None:
        super().__init__()
        self.armed = False
        self.then = then

    async def replace(self, held: Held, sign_in: SignIn, claimed_until: datetime | None = None) -> Held:
        if self.armed and claimed_until is None:
            self.armed = False
            self.held = None
            if self.then:
                await self.put(self.then)
        return await super().replace(held, sign_in, claimed_until)


async def test_a_renewal_does_not_undo_a_revocation(
    entra: EntraSimulator, tls: ssl.SSLContext, clock: Clock
) -> None:
    store = RevokedMeanwhile()
    tokens = DelegatedTokens(registration_of(entra), tls, store, now=clock)
    await sign_in(tokens, tls)
    clock.forward(HOUR)
    store.armed = True
    with pytest.raises(SignInRefused, match="nobody has signed in"):
        await tokens.token()
    assert store.held is None
    await tokens.aclose()


async def test_a_renewal_takes_the_result_of_who_was_first(
    entra: EntraSimulator, tls: ssl.SSLContext, clock: Clock
) -> None:
    store = RevokedMeanwhile()
    tokens = DelegatedTokens(registration_of(entra), tls, store, now=clock)
    await sign_in(tokens, tls)
    first = store.held
    entra.grants.token_life = 3 * 3600
    theirs = await sign_in(tokens, tls)
    assert theirs.access
    store.held, store.then, store.armed = first, theirs, True
    clock.forward(HOUR)
    assert await tokens.token() == theirs.access.token
    await tokens.aclose()


async def test_tokens_of_another_application_are_not_used(
    instances: Instances, entra: EntraSimulator, tls: ssl.SSLContext
) -> None:
    await sign_in(instances.open(), tls)
    other = instances.open(client_id="00000000-0000-0000-0000-000000000000")
    with pytest.raises(SignInRefused, match="nobody has signed in"):
        await other.token()
    elsewhere = instances.open(authority="https://login.example.com")
    with pytest.raises(SignInRefused, match="nobody has signed in"):
        await elsewhere.token()
    assert not entra.statistics.refusals


async def test_a_sign_in_that_no_key_decrypts_is_explained(
    tokens: DelegatedTokens, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail() -> None:
        raise SettingsError("CALENDAR_ENCRYPTION_KEYS", "another key", "Add it.")

    monkeypatch.setattr(store, "load", fail)
    with pytest.raises(SignInRefused, match="CALENDAR_ENCRYPTION_KEYS") as caught:
        await tokens.token()
    assert caught.value.code == "EncryptionKey"


async def test_no_token_no_code_and_no_secret_is_ever_logged(
    instances: Instances,
    entra: EntraSimulator,
    tls: ssl.SSLContext,
    store: MemoryStore,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for name in ("", "httpx", "httpcore"):
        caplog.set_level(logging.DEBUG, logger=name)
    entra.application.secrets = [Secret("kept-to-ourselves")]
    tokens = instances.open(secret="kept-to-ourselves")
    url = await tokens.begin(REDIRECT_URI, USER)
    answer = await answer_of(url, tls)
    caplog.clear()  # the browser's own lines
    signed_in = await tokens.complete(answer)
    hidden = [answer["code"], answer["state"], "kept-to-ourselves"]
    for _ in range(2):
        assert store.held
        cache = json.loads(store.held.sign_in.cache)
        assert store.held.sign_in.access
        hidden += [store.held.sign_in.access.token]
        hidden += [row["secret"] for kind in cache.values() for row in kind.values() if "secret" in row]
        clock.forward(HOUR)
        await tokens.token()
    entra.faults.append(Fault("token", error="invalid_grant", code=50173))
    clock.forward(HOUR)
    with pytest.raises(SignInRefused) as caught:
        await tokens.token()
    shown = caplog.text + "".join(repr(record.__dict__) for record in caplog.records)
    shown += "".join(traceback.format_exception(caught.value)) + repr(signed_in) + repr(store.held)
    assert "oauth2/v2.0/token" in shown
    assert len(hidden) >= 9
    for text in hidden:
        assert text not in shown


async def test_msal_finds_nothing_to_warn_of(
    tokens: DelegatedTokens, tls: ssl.SSLContext, clock: Clock
) -> None:
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        await sign_in(tokens, tls)
        clock.forward(HOUR)
        await tokens.token()
    assert not [str(warning.message) for warning in warned if "msal" in str(warning.filename)]


def test_a_registration_without_a_credential_is_refused(
    entra: EntraSimulator, tls: ssl.SSLContext, store: MemoryStore
) -> None:
    with pytest.raises(SettingsError, match="client_secret"):
        DelegatedTokens(replace(registration_of(entra), secret=""), tls, store)
