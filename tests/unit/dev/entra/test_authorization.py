"""The page on which an account signs in."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from dev.entra import Account, EntraSimulator, Tenant
from tests.unit.dev.entra.client import OauthClient, sent_back


async def test_a_hint_signs_the_account_in_at_once(client: OauthClient, entra: EntraSimulator) -> None:
    answer = await client.authorize()
    assert answer.status_code == 302
    assert answer.headers["location"].startswith("https://calendar.example.com/signed-in?")
    assert sent_back(answer).keys() == {"code", "state"}
    assert sent_back(answer)["state"] == "s"
    assert entra.statistics.sign_ins == 1


async def test_the_answer_can_be_a_form_that_posts_itself(client: OauthClient) -> None:
    answer = await client.authorize(response_mode="form_post", state='"><script>')
    assert answer.status_code == 200
    assert 'action="https://calendar.example.com/signed-in"' in answer.text
    assert sent_back(answer)["state"] == '"><script>'
    assert '"><script>"' not in answer.text


async def test_without_a_hint_the_page_offers_the_tenants_accounts(
    client: OauthClient, entra: EntraSimulator
) -> None:
    other = Tenant(domains=["other.example.com"])
    entra.directory.tenants.append(other)
    entra.directory.accounts.append(Account(other.id, "bob@other.example.com"))
    page = await client.authorize(login_hint=None)
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "calendar@example.com" in page.text
    assert "bob@other.example.com" not in page.text
    href = page.text.split('href="')[1].split('"')[0].replace("&amp;", "&")
    answer = await client.http.get(f"{entra.authority}/oauth2/v2.0/authorize{href}")
    assert "code" in sent_back(answer)


async def test_accounts_of_all_organizations_may_use_an_application_that_is_for_all(
    client: OauthClient, entra: EntraSimulator
) -> None:
    other = Tenant(domains=["other.example.com"])
    entra.directory.tenants.append(other)
    entra.directory.accounts.append(Account(other.id, "bob@other.example.com"))
    assert "AADSTS50194" in (await client.authorize("organizations")).text
    entra.application.multi_tenant = True
    assert "code" in sent_back(await client.authorize("organizations", login_hint="bob@other.example.com"))
    assert "AADSTS50034" in sent_back(await client.authorize(login_hint="bob@other.example.com")).get(
        "error_description", ""
    )


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"client_id": "00000000-0000-0000-0000-000000000000"}, "AADSTS700016"),
        ({"redirect_uri": "https://elsewhere.example.com/signed-in"}, "AADSTS50011"),
        ({"redirect_uri": "https://calendar.example.com/signed-in/x"}, "AADSTS50011"),
    ],
)
async def test_nobody_is_sent_to_an_address_that_is_not_registered(
    client: OauthClient, fields: dict[str, str | None], code: str
) -> None:
    answer = await client.authorize(**fields)
    assert answer.status_code == 400
    assert answer.text.startswith(code)
    assert "location" not in answer.headers


@pytest.mark.parametrize(
    ("fields", "error", "code"),
    [
        ({"code_challenge": None}, "invalid_request", "AADSTS9002325"),
        ({"code_challenge_method": "plain"}, "invalid_request", "AADSTS9002325"),
        ({"response_type": "token"}, "unsupported_response_type", "AADSTS700054"),
        ({"response_mode": "fragment"}, "unsupported_response_type", "AADSTS700054"),
        ({"scope": "profile"}, "invalid_scope", "AADSTS70011"),
        ({"login_hint": "nobody@example.com"}, "invalid_request", "AADSTS50034"),
    ],
)
async def test_other_faults_are_sent_back_to_the_application(
    client: OauthClient, fields: dict[str, str | None], error: str, code: str
) -> None:
    answer = sent_back(await client.authorize(**fields))
    assert (answer["error"], answer["error_description"].split(":")[0]) == (error, code)
    assert answer["state"] == "s"


async def test_disabled_accounts_and_missing_consent_are_sent_back(
    client: OauthClient, entra: EntraSimulator
) -> None:
    entra.application.scopes = []
    assert sent_back(await client.authorize())["error"] == "consent_required"
    assert "code" in sent_back(await client.authorize(scope="openid profile"))
    entra.application.scopes = ["EWS.AccessAsUser.All"]
    entra.account.consents = False
    declined = sent_back(await client.authorize())
    assert declined["error"] == "access_denied"
    assert declined["error_description"].startswith("AADSTS65004")
    assert "code" in sent_back(await client.authorize(scope="openid profile"))
    entra.account.enabled = False
    assert sent_back(await client.authorize())["error"] == "access_denied"


async def test_the_port_of_localhost_does_not_matter(client: OauthClient, entra: EntraSimulator) -> None:
    entra.application.redirect_uris = ["http://localhost/signed-in"]
    answer = await client.authorize(redirect_uri="http://localhost:7071/signed-in")
    assert urlsplit(answer.headers["location"]).netloc == "localhost:7071"
