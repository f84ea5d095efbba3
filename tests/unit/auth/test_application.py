"""The application signs in as itself: MSAL unchanged, over TLS, against the simulated Entra ID."""

from __future__ import annotations

import asyncio
import logging
import ssl
import traceback
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import trustme

from dev.entra import EntraSimulator, Fault, Secret
from shared.auth.application import ApplicationTokens
from shared.auth.clouds import Cloud
from shared.auth.entra import ANY_ORGANIZATION, Registration
from shared.errors import ExchangeError, ExchangeUnavailable, SettingsError, SignInRefused
from shared.ews.transport import tls_context
from tests.unit.auth.conftest import Clock
from tests.unit.auth.pairs import KeyPair

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


def registration_of(entra: EntraSimulator, **changes: Any) -> Registration:
    tenant = entra.directory.tenants[0].id
    given = Registration(entra.application.client_id, tenant, "secret", authority=entra.url)
    return replace(given, **changes)


@asynccontextmanager
async def opened(
    entra: EntraSimulator, tls: ssl.SSLContext, clock: Clock | None = None, **changes: Any
) -> AsyncIterator[ApplicationTokens]:
    tokens = ApplicationTokens(registration_of(entra, **changes), tls, now=clock or Clock())
    try:
        yield tokens
    finally:
        await tokens.aclose()


async def refusal(entra: EntraSimulator, tls: ssl.SSLContext, **changes: Any) -> ExchangeError:
    async with opened(entra, tls, **changes) as tokens:
        with pytest.raises(ExchangeError) as caught:
            await tokens.token()
    return caught.value


def asked(entra: EntraSimulator) -> int:
    return entra.statistics.tokens["client_credentials"]


async def test_a_secret_gets_a_token_for_exchange(entra: EntraSimulator, tls: ssl.SSLContext) -> None:
    async with opened(entra, tls) as tokens:
        claims = entra.verify(await tokens.token(), "https://outlook.office365.com")
    assert (claims["appid"], claims["roles"]) == (entra.application.client_id, ["full_access_as_app"])


async def test_a_certificate_gets_one_too_and_goes_before_the_secret(
    entra: EntraSimulator, tls: ssl.SSLContext, pair: KeyPair
) -> None:
    entra.application.certificates = [pair.certificate]
    async with opened(entra, tls, secret="wrong", certificate=pair.pem) as tokens:
        assert entra.verify(await tokens.token())["appid"] == entra.application.client_id


@pytest.mark.parametrize("cloud", Cloud)
async def test_the_token_is_for_the_clouds_own_exchange(
    entra: EntraSimulator, tls: ssl.SSLContext, cloud: Cloud
) -> None:
    async with opened(entra, tls, cloud=cloud) as tokens:
        assert entra.verify(await tokens.token(), cloud.resource)["aud"] == cloud.resource


async def test_a_scope_that_was_entered_is_asked_for(entra: EntraSimulator, tls: ssl.SSLContext) -> None:
    async with opened(entra, tls, scope="https://partner.outlook.cn/.default") as tokens:
        claims = entra.verify(await tokens.token(), "https://partner.outlook.cn")
    assert claims["aud"] == "https://partner.outlook.cn"


def test_each_cloud_signs_in_at_its_own_authority() -> None:
    assert Registration("c", "t", cloud=Cloud.US_L5).base == "https://login.microsoftonline.us"


async def test_a_token_is_kept_until_five_minutes_before_its_end(
    entra: EntraSimulator, tls: ssl.SSLContext, clock: Clock
) -> None:
    async with opened(entra, tls, clock) as tokens:
        first = await tokens.token()
        clock.forward(HOUR - 6 * MINUTE)
        assert await tokens.token() == first
        assert asked(entra) == 1
        clock.forward(2 * MINUTE)
        assert await tokens.token() != first
    assert (asked(entra), entra.statistics.discoveries) == (2, 1)


async def test_many_at_once_ask_once(entra: EntraSimulator, tls: ssl.SSLContext) -> None:
    entra.faults.append(Fault("token", delay=0.1))
    async with opened(entra, tls) as tokens:
        got = await asyncio.gather(*(tokens.token() for _ in range(10)))
    assert len(set(got)) == asked(entra) == entra.statistics.most_at_once == 1


async def test_a_refused_token_is_replaced_once_for_all_who_had_it(
    entra: EntraSimulator, tls: ssl.SSLContext
) -> None:
    async with opened(entra, tls) as tokens:
        old = await tokens.token()
        got = await asyncio.gather(*(tokens.token(refused=old) for _ in range(5)))
        assert len(set(got)) == 1
        assert old not in got
        assert await tokens.token() == got[0]
    assert asked(entra) == 2


async def test_a_token_is_used_to_its_end_while_entra_id_cannot_be_reached(
    entra: EntraSimulator, tls: ssl.SSLContext, clock: Clock
) -> None:
    async with opened(entra, tls, clock) as tokens:
        first = await tokens.token()
        await entra.go_away()
        entra.faults.append(Fault("token", status=503))
        clock.forward(HOUR - 2 * MINUTE)
        assert await tokens.token() == first
        with pytest.raises(ExchangeUnavailable):
            await tokens.token(refused=first)
        clock.forward(3 * MINUTE)
        with pytest.raises(ExchangeUnavailable):
            await tokens.token()


async def test_a_token_is_not_used_on_after_a_refusal(
    entra: EntraSimulator, tls: ssl.SSLContext, clock: Clock
) -> None:
    async with opened(entra, tls, clock) as tokens:
        await tokens.token()
        entra.application.enabled = False
        clock.forward(HOUR - 2 * MINUTE)
        with pytest.raises(SignInRefused):
            await tokens.token()


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"secret": "wrong"}, "AADSTS7000215", "exchange.client_secret"),
        ({"tenant": "nowhere.example.com"}, "AADSTS90002", "exchange.tenant_id"),
        ({"client_id": "00000000-0000-0000-0000-000000000000"}, "AADSTS700016", "exchange.client_id"),
        ({"scope": "https://elsewhere.example.com/.default"}, "AADSTS500011", "exchange.scope"),
        ({"scope": "https://outlook.office365.com/Mail.Read"}, "AADSTS1002012", "exchange.scope"),
    ],
)
async def test_each_wrong_setting_has_its_own_sentence(
    entra: EntraSimulator, tls: ssl.SSLContext, changes: dict[str, str], code: str, field: str
) -> None:
    error = await refusal(entra, tls, **changes)
    assert isinstance(error, SignInRefused)
    assert error.code == code
    assert str(error).startswith(f"{field}: ")


async def test_an_expired_secret_is_told_from_a_wrong_one(entra: EntraSimulator, tls: ssl.SSLContext) -> None:
    entra.application.secrets = [Secret("secret", "2026-01-01T00:00:00+00:00")]
    error = await refusal(entra, tls)
    assert error.code == "AADSTS7000222"
    assert str(error).startswith("exchange.client_secret: it has expired.")


async def test_a_certificate_that_was_not_uploaded_is_refused(
    entra: EntraSimulator, tls: ssl.SSLContext, pair: KeyPair
) -> None:
    error = await refusal(entra, tls, certificate=pair.pem)
    assert (error.code, str(error).split(":")[0]) == ("AADSTS700027", "exchange.client_certificate")


@pytest.mark.parametrize(
    ("fault", "code", "field"),
    [
        (Fault("token", error="invalid_grant", code=65001), "AADSTS65001", "exchange.client_id"),
        (Fault("token", error="invalid_request", code=900432), "AADSTS900432", "exchange.cloud"),
        (Fault("discovery", error="invalid_request", code=90038), "AADSTS90038", "exchange.cloud"),
        (Fault("token", error="invalid_grant", code=53003), "AADSTS53003", "exchange.client_id"),
    ],
)
async def test_refusals_from_elsewhere_have_theirs(
    entra: EntraSimulator, tls: ssl.SSLContext, fault: Fault, code: str, field: str
) -> None:
    entra.faults.append(fault)
    error = await refusal(entra, tls)
    assert isinstance(error, SignInRefused)
    assert (error.code, str(error).split(":")[0]) == (code, field)
    assert "Sign in again" not in str(error)


async def test_who_answers_busily_is_asked_again_when_it_said(
    entra: EntraSimulator, tls: ssl.SSLContext, clock: Clock
) -> None:
    entra.faults.append(Fault("token", status=429, retry_after=120, times=1))
    async with opened(entra, tls, clock) as tokens:
        with pytest.raises(ExchangeUnavailable) as caught:
            await tokens.token()
        assert (caught.value.code, caught.value.retry_after) == ("HTTP 429", timedelta(seconds=120))
        clock.forward(MINUTE)
        with pytest.raises(ExchangeUnavailable) as caught:
            await tokens.token()
        assert caught.value.retry_after
        assert timedelta(seconds=50) < caught.value.retry_after <= MINUTE
        assert asked(entra) == 0
        clock.forward(MINUTE)
        await tokens.token()


async def test_a_refusal_is_not_repeated_by_everybody(
    entra: EntraSimulator, tls: ssl.SSLContext, clock: Clock
) -> None:
    async with opened(entra, tls, clock, secret="wrong") as tokens:
        for _ in range(5):
            with pytest.raises(SignInRefused):
                await tokens.token()
        assert entra.statistics.refusals["7000215"] == 1
        clock.forward(timedelta(minutes=15))
        with pytest.raises(SignInRefused):
            await tokens.token()
        assert entra.statistics.refusals["7000215"] == 2


async def test_nobody_at_the_address_is_not_a_wrong_secret(
    entra: EntraSimulator, tls: ssl.SSLContext
) -> None:
    await entra.go_away()
    error = await refusal(entra, tls)
    assert (type(error), error.code) == (ExchangeUnavailable, "SignInUnreachable")
    assert "exchange.cloud" in str(error)


async def test_a_certificate_of_somebody_else_gets_no_secret(entra: EntraSimulator) -> None:
    stranger = tls_context(trustme.CA().cert_pem.bytes().decode())
    error = await refusal(entra, stranger)
    assert (type(error), error.code) == (ExchangeUnavailable, "SignInCertificate")
    assert entra.statistics.discoveries == 0


@pytest.mark.parametrize("endpoint", ["discovery", "token"])
@pytest.mark.parametrize("status", [200, 302, 403])
async def test_a_page_of_a_proxy_is_not_entra_id(
    entra: EntraSimulator, tls: ssl.SSLContext, endpoint: str, status: int
) -> None:
    entra.faults.append(Fault(endpoint, status=status))
    error = await refusal(entra, tls)
    assert (type(error), error.code) == (ExchangeUnavailable, "SignInUnreadable")


async def test_the_secret_goes_to_the_configured_authority_only(
    entra: EntraSimulator, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with EntraSimulator(entra.directory, key=entra.key) as other:
        monkeypatch.setattr(
            EntraSimulator, "url", property(lambda simulator: f"https://127.0.0.1:{other.port}")
        )
        registration = replace(registration_of(entra), authority=f"https://127.0.0.1:{entra.port}")
        tokens = ApplicationTokens(registration, tls)
        with pytest.raises(SignInRefused, match=r"exchange\.cloud: the tenant lives in another cloud"):
            await tokens.token()
        await tokens.aclose()
        assert entra.statistics.discoveries == 1
        assert not other.statistics.tokens
        assert not other.statistics.refusals


@pytest.mark.parametrize("change", [{"tenant": ""}, {"tenant": ANY_ORGANIZATION}, {"secret": ""}])
def test_what_is_missing_is_said_at_once(change: dict[str, Any]) -> None:
    registration = replace(Registration("c", "t", "s"), **change)
    with pytest.raises(SettingsError, match="is missing"):
        ApplicationTokens(registration, ssl.create_default_context())


def test_a_bad_certificate_is_said_at_once() -> None:
    with pytest.raises(SettingsError, match=r"exchange\.client_certificate: is not in PEM form"):
        ApplicationTokens(Registration("c", "t", certificate="x"), ssl.create_default_context())


def test_the_sign_in_never_uses_plain_http() -> None:
    registration = Registration("c", "t", "s", authority="http://login.example.com")
    with pytest.raises(SettingsError, match="not https"):
        ApplicationTokens(registration, ssl.create_default_context())


async def test_no_secret_and_no_token_is_ever_logged(
    entra: EntraSimulator,
    tls: ssl.SSLContext,
    pair: KeyPair,
    caplog: pytest.LogCaptureFixture,
    clock: Clock,
) -> None:
    for name in ("", "httpx", "httpcore"):
        caplog.set_level(logging.DEBUG, logger=name)
    entra.application.secrets = [Secret("very-secret-1")]
    entra.application.certificates = [pair.certificate]
    async with opened(entra, tls, clock, secret="very-secret-1") as tokens:
        token = await tokens.token()
    async with opened(entra, tls, clock, certificate=pair.pem) as tokens:
        certified = await tokens.token()
    error = await refusal(entra, tls, secret="very-secret-2")
    entra.faults.append(Fault("token", status=200))
    unreadable = await refusal(entra, tls, secret="very-secret-1")
    shown = caplog.text + "".join(repr(record.__dict__) for record in caplog.records)
    shown += "".join(line for failure in (error, unreadable) for line in traceback.format_exception(failure))
    shown += repr(registration_of(entra, secret="very-secret-1", certificate=pair.pem)) + repr(tokens)
    assert "openid-configuration" in shown
    for hidden in (token, certified, "very-secret", pair.key.split("\n")[1]):
        assert hidden not in shown


async def test_msal_finds_nothing_to_warn_of(entra: EntraSimulator, tls: ssl.SSLContext) -> None:
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        async with opened(entra, tls) as tokens:
            await tokens.token()
    assert not [str(warning.message) for warning in warned if "msal" in str(warning.filename)]
