"""What an administrator enters for Exchange in the cloud, and what a wrong value gets."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from functions.exchange import registration_of
from shared.auth.clouds import Cloud
from shared.auth.entra import ANY_ORGANIZATION
from shared.errors import InvalidSettings
from shared.settings import ExchangeSettings, parse_section
from tests.unit.auth.pairs import EXPIRES, KeyPair

CLIENT = "1b4e28ba-2fa1-11d2-883f-0016d3cca427"
TENANT = "2c5f39cb-3fb2-22e3-994f-1127e4ddb538"
CLOUD_TYPES = ["cloud-app-only", "cloud-delegated"]


def exchange(**values: Any) -> ExchangeSettings:
    section = parse_section("exchange", values)
    assert isinstance(section, ExchangeSettings)
    return section


def refusal(**values: Any) -> dict[str, str]:
    with pytest.raises(InvalidSettings) as caught:
        parse_section("exchange", values)
    return {error.field.removeprefix("exchange."): error.fault for error in caught.value.errors}


@pytest.mark.parametrize(
    ("field", "value", "fault"),
    [
        ("client_id", "my-app", "is no application (client) ID"),
        ("client_id", CLIENT + "0", "is no application (client) ID"),
        ("tenant_id", "my tenant", "is neither a directory (tenant) ID nor a domain"),
        ("tenant_id", "../common", "is neither a directory (tenant) ID nor a domain"),
        ("tenant_id", "common", "is neither a directory (tenant) ID nor a domain"),
        ("client_certificate", "hello", "is not in PEM form"),
        ("scope", "http://outlook.office365.com/.default", "is no scope"),
        ("scope", "EWS.AccessAsUser.All", "is no scope"),
        ("scope", "https://outlook.office365.com/.default openid", "is no scope"),
        ("secret_expires_on", "31.5.2027", "is no date"),
        ("secret_expires_on", "2027-02-30", "is no date"),
        ("client_secret", "half\ud800", "holds half a character"),
    ],
)
def test_each_wrong_value_has_its_own_sentence(field: str, value: str, fault: str) -> None:
    assert refusal(**{field: value}) == {field: fault}


@pytest.mark.parametrize("field", ["sync_type", "supported_accounts", "cloud"])
def test_a_choice_that_does_not_exist_is_refused(field: str) -> None:
    assert list(refusal(**{field: "something else"})) == [field]


def test_ids_are_taken_in_any_case_and_with_blanks_around() -> None:
    section = exchange(client_id=f" {CLIENT.upper()} ", tenant_id="Example.COM")
    assert (section.client_id, section.tenant_id) == (CLIENT, "example.com")
    assert exchange(tenant_id=TENANT).tenant_id == TENANT


def test_a_certificate_without_its_key_or_with_a_damaged_one_is_told_apart(
    pair: KeyPair, other_pair: KeyPair
) -> None:
    assert refusal(client_certificate=pair.certificate) == {"client_certificate": "has no private key"}
    assert refusal(client_certificate=pair.key + other_pair.certificate) == {
        "client_certificate": "has a key that belongs to another certificate"
    }
    section = exchange(client_certificate=pair.pem)
    assert section.client_certificate.get_secret_value() == pair.pem
    assert pair.key.split("\n")[1] not in repr(section)


@pytest.mark.parametrize("sync_type", CLOUD_TYPES)
def test_a_cloud_that_does_not_fit_is_refused(sync_type: str) -> None:
    assert refusal(sync_type=sync_type, url="outlook.office365.us") == {
        "cloud": "does not fit the url, which is of us-government-l4"
    }
    assert refusal(sync_type=sync_type, cloud="china", scope=Cloud.WORLDWIDE.scope) == {
        "scope": "is of the cloud worldwide"
    }
    fitting = exchange(sync_type=sync_type, cloud="china", scope=Cloud.CHINA.scope, url="partner.outlook.cn")
    assert fitting.ews_url == Cloud.CHINA.ews_url
    assert exchange(sync_type="on-premises", url="outlook.office365.us").ews_url


@pytest.mark.parametrize("sync_type", CLOUD_TYPES)
def test_no_token_goes_over_http_whatever_is_switched_on(sync_type: str) -> None:
    fault = refusal(sync_type=sync_type, url="http://mail.example.com", allow_plain_http=True)
    assert fault == {"url": "is http, over which no token is sent"}


@pytest.mark.parametrize("cloud", Cloud)
def test_the_address_of_exchange_follows_the_cloud(cloud: Cloud) -> None:
    assert exchange(sync_type="cloud-app-only", cloud=cloud.value).ews_url == cloud.ews_url
    assert exchange(cloud=cloud.value).ews_url == ""
    assert exchange(sync_type="on-premises", cloud=cloud.value).ews_url == ""
    explicit = exchange(sync_type="cloud-app-only", cloud=cloud.value, url="mail.example.com")
    assert explicit.ews_url == "https://mail.example.com/EWS/Exchange.asmx"


def test_each_sync_type_misses_what_it_needs() -> None:
    needed = ["exchange.user", "exchange.client_id", "exchange.tenant_id", "exchange.client_secret"]
    for sync_type in CLOUD_TYPES:
        assert exchange(sync_type=sync_type).missing() == needed
    several = exchange(sync_type="cloud-delegated", supported_accounts="multiple organizations")
    assert several.missing() == [name for name in needed if "tenant" not in name]
    app_only = exchange(sync_type="cloud-app-only", supported_accounts="multiple organizations")
    assert app_only.missing() == needed
    on_premises = exchange(sync_type="on-premises", client_secret="x", client_id=CLIENT).missing()
    assert on_premises == ["exchange.user", "exchange.password"]


def test_a_secret_or_a_certificate_completes_it(pair: KeyPair) -> None:
    given = {"sync_type": "cloud-app-only", "user": "a@example.com", "client_id": CLIENT, "tenant_id": TENANT}
    assert exchange(**given, client_secret="secret").missing() == []
    assert exchange(**given, client_certificate=pair.pem).missing() == []


def test_the_end_that_was_noted_counts_before_the_certificates(pair: KeyPair) -> None:
    assert exchange().expires_on is None
    assert exchange(client_certificate=pair.pem).expires_on == EXPIRES.date()
    noted = exchange(client_certificate=pair.pem, secret_expires_on="2027-05-31")
    assert noted.expires_on == date(2027, 5, 31)


def test_the_registration_is_what_was_entered(pair: KeyPair) -> None:
    given = {"client_id": CLIENT, "tenant_id": TENANT, "client_secret": "s", "cloud": "us-government-l5"}
    found = registration_of(exchange(**given, sync_type="cloud-app-only", client_certificate=pair.pem))
    assert (found.client_id, found.tenant, found.secret, found.certificate) == (CLIENT, TENANT, "s", pair.pem)
    assert found.scopes == ["https://outlook-dod.office365.us/.default"]
    assert found.base == "https://login.microsoftonline.us"


def test_accounts_of_several_organizations_sign_in_at_no_particular_one() -> None:
    given = {"client_id": CLIENT, "tenant_id": TENANT, "supported_accounts": "multiple organizations"}
    delegated = exchange(**given, sync_type="cloud-delegated")
    assert registration_of(delegated).tenant == ANY_ORGANIZATION
    assert registration_of(exchange(**given, sync_type="cloud-app-only")).tenant == TENANT
    one = exchange(**given | {"supported_accounts": "my organization only"}, sync_type="cloud-delegated")
    assert registration_of(one).tenant == TENANT
