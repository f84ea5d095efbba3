"""What the token endpoint gives and refuses."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest

from dev.entra import Application, EntraSimulator, InvalidToken, Secret, SigningKey, Tenant, claims_of
from tests.unit.auth.pairs import KeyPair
from tests.unit.dev.entra.client import DELEGATED, SCOPE, OauthClient, codes

AUDIENCE = "https://outlook.office365.com"


async def signed_in(client: OauthClient, **fields: str | None) -> dict[str, Any]:
    answer = await client.redeem(await client.code(**fields))
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_an_application_gets_a_token_with_its_roles(client: OauthClient, entra: EntraSimulator) -> None:
    answer = (await client.ask()).json()
    claims = entra.verify(answer["access_token"])
    assert (claims["appid"], claims["tid"]) == (entra.application.client_id, entra.directory.tenants[0].id)
    assert claims["roles"] == ["full_access_as_app"]
    assert claims["exp"] - claims["iat"] == answer["expires_in"] == 3600
    assert "refresh_token" not in answer


async def test_an_application_without_consent_gets_a_token_without_roles(
    client: OauthClient, entra: EntraSimulator
) -> None:
    entra.application.roles = []
    assert "roles" not in entra.verify((await client.ask()).json()["access_token"])


async def test_tokens_are_verified_with_the_published_keys(
    client: OauthClient, entra: EntraSimulator
) -> None:
    token = (await client.ask()).json()["access_token"]
    document = (await client.http.get(f"{entra.authority}/v2.0/.well-known/openid-configuration")).json()
    keys = (await client.http.get(document["jwks_uri"])).json()
    assert claims_of(token, keys, AUDIENCE)["iss"] == document["issuer"]
    for wrong in (token[:-4] + "AAAA", "x", "", jwt.encode({"aud": AUDIENCE}, "k" * 32)):
        with pytest.raises(InvalidToken):
            claims_of(wrong, keys, AUDIENCE)
    with pytest.raises(InvalidToken):
        claims_of(token, keys, "https://graph.microsoft.com")
    async with EntraSimulator() as other:
        with pytest.raises(InvalidToken):
            other.verify(token)


async def test_tokens_end(client: OauthClient, entra: EntraSimulator) -> None:
    entra.grants.token_life = 0
    with pytest.raises(InvalidToken):
        entra.verify((await client.ask()).json()["access_token"])


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"client_secret": "wrong"}, 401, 7000215),
        ({"client_secret": None}, 401, 7000218),
        ({"client_id": "00000000-0000-0000-0000-000000000000"}, 400, 700016),
        ({"scope": "https://outlook.office365.com/EWS.AccessAsUser.All"}, 400, 1002012),
        ({"scope": "https://elsewhere.example.com/.default"}, 400, 500011),
        ({"grant_type": "password"}, 400, 70003),
    ],
)
async def test_a_wrong_request_is_refused_with_its_code(
    client: OauthClient, entra: EntraSimulator, fields: dict[str, str | None], status: int, code: int
) -> None:
    answer = await client.ask(**fields)
    assert (answer.status_code, codes(answer)) == (status, [code])
    assert entra.statistics.refusals == {str(code): 1}
    assert not entra.statistics.tokens


async def test_a_secret_expires(client: OauthClient, entra: EntraSimulator) -> None:
    now = datetime.now(UTC)
    entra.application.secrets = [
        Secret("old", (now - timedelta(seconds=1)).isoformat()),
        Secret("new", (now + timedelta(days=1)).isoformat()),
    ]
    assert codes(await client.ask(client_secret="old")) == [7000222]
    assert (await client.ask(client_secret="new")).status_code == 200


async def test_a_tenant_is_found_by_its_domain_and_another_is_not(
    client: OauthClient, entra: EntraSimulator
) -> None:
    token = (await client.ask("example.com")).json()["access_token"]
    assert entra.verify(token)["tid"] == entra.directory.tenants[0].id
    assert codes(await client.ask("nowhere.example.com")) == [90002]
    answer = await client.http.get(f"{entra.url}/nowhere/v2.0/.well-known/openid-configuration")
    assert (answer.status_code, codes(answer)) == (400, [90002])


async def test_an_application_of_one_organization_is_known_there_only(
    client: OauthClient, entra: EntraSimulator
) -> None:
    entra.directory.tenants.append(Tenant(domains=["other.example.com"]))
    assert codes(await client.ask("other.example.com")) == [700016]
    assert codes(await client.ask("organizations")) == [50194]
    entra.application.multi_tenant = True
    assert (await client.ask("other.example.com")).status_code == 200


async def test_a_disabled_application_is_refused(client: OauthClient, entra: EntraSimulator) -> None:
    entra.application.enabled = False
    assert codes(await client.ask()) == [7000112]


def assertion(entra: EntraSimulator, pair: KeyPair, **changes: Any) -> dict[str, str | None]:
    application: Application = entra.application
    now = time.time()
    claims = {
        "aud": f"{entra.authority}/oauth2/v2.0/token",
        "iss": application.client_id,
        "sub": application.client_id,
        "jti": "1",
        "exp": now + 60,
    } | changes
    signed = jwt.encode(claims, pair.key, "PS256", {"x5t#S256": pair.thumbprint})
    kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    return {"client_secret": None, "client_assertion": signed, "client_assertion_type": kind}


async def test_a_registered_certificate_takes_the_place_of_a_secret(
    client: OauthClient, entra: EntraSimulator, pair: KeyPair, other_pair: KeyPair
) -> None:
    assert codes(await client.ask(**assertion(entra, pair))) == [700027]
    entra.application.certificates = [pair.certificate]
    assert (await client.ask(**assertion(entra, pair))).status_code == 200
    forged = KeyPair(pair.certificate, other_pair.key)
    for wrong in (
        assertion(entra, forged),
        assertion(entra, pair, aud="https://elsewhere.example.com"),
        assertion(entra, pair, exp=time.time() - 1),
        assertion(entra, pair, sub="somebody else"),
        assertion(entra, pair, iss="somebody else"),
        assertion(entra, pair) | {"client_assertion": "nonsense"},
    ):
        answer = await client.ask(**wrong)
        assert (answer.status_code, codes(answer)) == (401, [700027])


async def test_a_code_gives_tokens_for_the_account(client: OauthClient, entra: EntraSimulator) -> None:
    answer = await signed_in(client)
    claims = entra.verify(answer["access_token"])
    assert (claims["upn"], claims["scp"]) == ("calendar@example.com", "EWS.AccessAsUser.All")
    assert "roles" not in claims
    identity = claims_of(answer["id_token"], entra.key.jwks, entra.application.client_id)
    assert (identity["preferred_username"], identity["nonce"]) == ("calendar@example.com", "n")
    assert answer["refresh_token"]


async def test_an_identity_carries_the_roles_that_were_assigned(
    client: OauthClient, entra: EntraSimulator
) -> None:
    entra.account.app_roles = {entra.application.client_id: ["Administrator"], "another": ["Reader"]}
    answer = await signed_in(client, scope="openid profile")
    identity = claims_of(answer["id_token"], entra.key.jwks, entra.application.client_id)
    assert identity["roles"] == ["Administrator"]


async def test_a_code_is_worth_one_request(client: OauthClient) -> None:
    code = await client.code()
    assert (await client.redeem(code)).status_code == 200
    assert codes(await client.redeem(code)) == [54005]
    assert codes(await client.redeem("invented")) == [9002313]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"code_verifier": "w" * 43}, 501481),
        ({"code_verifier": None}, 501481),
        ({"redirect_uri": "https://elsewhere.example.com"}, 50011),
    ],
)
async def test_a_code_is_worth_nothing_to_others(
    client: OauthClient, fields: dict[str, str | None], code: int
) -> None:
    assert codes(await client.redeem(await client.code(), **fields)) == [code]


async def test_a_code_expires(key: SigningKey) -> None:
    now = time.time()
    async with EntraSimulator(key=key, now=lambda: now) as entra:
        client = OauthClient(entra)
        async with client.http:
            code = await client.code()
            now += 600
            assert codes(await client.redeem(code)) == [70008]


async def test_a_refresh_token_is_replaced_when_it_is_used(
    client: OauthClient, entra: EntraSimulator
) -> None:
    first = (await signed_in(client))["refresh_token"]
    answer = (await client.refresh(first)).json()
    assert answer["refresh_token"] != first
    assert entra.verify(answer["access_token"])["upn"] == "calendar@example.com"
    assert codes(await client.refresh(first)) == [70000]
    assert entra.statistics.reused == 1
    assert (await client.refresh(answer["refresh_token"])).status_code == 200


async def test_no_refresh_token_is_given_unasked(client: OauthClient) -> None:
    answer = await client.redeem(await client.code(), scope=f"openid {SCOPE}")
    assert "refresh_token" not in answer.json()


async def test_a_refresh_token_is_worth_nothing_after_revocation(
    client: OauthClient, entra: EntraSimulator
) -> None:
    token = (await signed_in(client))["refresh_token"]
    assert entra.grants.revoke("CALENDAR@example.com") == 1
    answer = await client.refresh(token)
    assert (answer.json()["error"], codes(answer)) == ("invalid_grant", [50173])
    assert (await client.refresh((await signed_in(client))["refresh_token"])).status_code == 200


async def test_a_refresh_token_expires_unused(key: SigningKey) -> None:
    now = time.time()
    async with EntraSimulator(key=key, now=lambda: now) as entra:
        client = OauthClient(entra)
        async with client.http:
            token = (await signed_in(client))["refresh_token"]
            now += entra.grants.refresh_life
            assert codes(await client.refresh(token)) == [700082]


async def test_what_changed_at_the_account_or_the_consent_ends_the_sign_in(
    client: OauthClient, entra: EntraSimulator
) -> None:
    token = (await signed_in(client))["refresh_token"]
    entra.account.mfa = True
    answer = await client.refresh(token)
    assert (answer.json()["error"], codes(answer)) == ("interaction_required", [50076])
    entra.account.mfa, entra.account.enabled = False, False
    assert codes(await client.refresh(token)) == [50057]
    entra.account.enabled, entra.application.scopes = True, []
    assert codes(await client.refresh(token)) == [65001]
    entra.application.scopes = ["EWS.AccessAsUser.All"]
    assert (await client.refresh(token)).status_code == 200


async def test_who_signs_in_anew_has_proved_what_was_required(
    client: OauthClient, entra: EntraSimulator
) -> None:
    entra.account.mfa = True
    token = (await signed_in(client))["refresh_token"]
    assert (await client.refresh(token, scope=DELEGATED)).status_code == 200


async def test_an_application_gets_a_token_for_another_with_the_roles_it_has_there(
    client: OauthClient, entra: EntraSimulator
) -> None:
    page = Application(entra.directory.tenants[0].id)
    entra.directory.applications.append(page)
    entra.application.app_roles[page.client_id] = ["Calendar.Admin"]
    answer = await client.ask(scope=f"api://{page.client_id}/.default")
    claims = entra.verify(answer.json()["access_token"], page.client_id)
    assert (claims["roles"], claims["azp"], claims["ver"]) == (
        ["Calendar.Admin"],
        entra.application.client_id,
        "2.0",
    )
    unknown = await client.ask(scope="api://nothing/.default")
    assert unknown.json()["error_codes"] == [500011]


async def test_an_account_gets_a_token_for_an_application_with_the_roles_it_has_there(
    client: OauthClient, entra: EntraSimulator
) -> None:
    page = entra.application
    entra.account.app_roles[page.client_id] = ["Calendar.Admin"]
    scope = f"openid api://{page.client_id}/.default"
    answer = await client.redeem(await client.code(scope=scope), scope=scope)
    assert entra.verify(answer.json()["access_token"], page.client_id)["roles"] == ["Calendar.Admin"]
