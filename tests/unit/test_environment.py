"""The app settings of the deployment."""

import base64

import pytest

from shared.environment import Administration, Environment
from shared.errors import InvalidSettings

KEY, FORMER_KEY = (base64.urlsafe_b64encode(letter * 32).decode() for letter in (b"a", b"b"))
STORAGE = "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=c3RvcmFnZQ==;EndpointSuffix=x"
APP_SETTINGS = {
    "AzureWebJobsStorage": STORAGE,
    "CALENDAR_ENCRYPTION_KEYS": KEY,
    "CALENDAR_CALLBACK_URL": "https://calendar.example.com",
}


def refusal(**values: str) -> dict[str, str]:
    """Fault and remedy by app setting."""
    with pytest.raises(InvalidSettings) as caught:
        Environment.read(values)
    return {fault.field: f"{fault.fault}. {fault.remedy}" for fault in caught.value.errors}


def test_the_app_settings_are_read() -> None:
    environment = Environment.read(
        APP_SETTINGS
        | {
            "CALENDAR_ENCRYPTION_KEYS": f" {KEY} , {FORMER_KEY},",
            "AzureWebJobsStorage__clientId": "client",
            "PATH": "/bin",
        }
    )
    assert environment == Environment(
        STORAGE, "", "", "client", (KEY, FORMER_KEY), "https://calendar.example.com"
    )


def test_with_an_identity_the_storage_is_named_by_its_addresses() -> None:
    addresses = {
        "AzureWebJobsStorage__tableServiceUri": "https://a.table.core.windows.net",
        "AzureWebJobsStorage__queueServiceUri": "https://a.queue.core.windows.net",
    }
    environment = Environment.read(APP_SETTINGS | {"AzureWebJobsStorage": ""} | addresses)
    assert (environment.storage, environment.table_uri, environment.queue_uri, environment.client_id) == (
        "",
        *addresses.values(),
        "",
    )


@pytest.mark.parametrize("only", ["tableServiceUri", "queueServiceUri"])
def test_one_address_of_the_storage_is_not_enough(only: str) -> None:
    values = APP_SETTINGS | {"AzureWebJobsStorage": "", f"AzureWebJobsStorage__{only}": "https://a"}
    assert list(refusal(**values)) == ["AzureWebJobsStorage"]


def test_everything_that_is_missing_is_named_at_once_with_its_remedy() -> None:
    assert refusal() == {
        "AzureWebJobsStorage": "no storage account is named. Set a connection string, or "
        "AzureWebJobsStorage__tableServiceUri and AzureWebJobsStorage__queueServiceUri for the managed "
        "identity.",
        "CALENDAR_ENCRYPTION_KEYS": "no key is set. Set keys of 32 bytes in URL-safe base64, separated by "
        "commas, the newest first.",
        "CALENDAR_CALLBACK_URL": "Exchange can't be told where to send notifications. Set the public base "
        "URL of this function app, such as https://calendar.example.com.",
    }


@pytest.mark.parametrize("keys", ["topsecret", f"{KEY},topsecret", "c2hvcnQ=", "ä" * 44, "A" * 45, "\udcff"])
def test_a_key_of_another_kind_is_refused_and_not_repeated(keys: str) -> None:
    faults = refusal(**APP_SETTINGS | {"CALENDAR_ENCRYPTION_KEYS": keys})
    assert list(faults) == ["CALENDAR_ENCRYPTION_KEYS"]
    assert faults["CALENDAR_ENCRYPTION_KEYS"].startswith("not a list of Fernet keys. ")
    assert keys not in str(faults)


@pytest.mark.parametrize(
    ("values", "callback"),
    [
        ({"CALENDAR_CALLBACK_URL": "https://calendar.example.com/"}, "https://calendar.example.com"),
        ({"CALENDAR_CALLBACK_URL": "https://example.com/calendar/"}, "https://example.com/calendar"),
        ({"CALENDAR_CALLBACK_URL": "http://127.0.0.1:7071"}, "http://127.0.0.1:7071"),
        ({"CALENDAR_CALLBACK_URL": "calendar.example.com"}, "https://calendar.example.com"),
        (
            {"CALENDAR_CALLBACK_URL": "", "WEBSITE_HOSTNAME": "x.azurewebsites.net"},
            "https://x.azurewebsites.net",
        ),
        (
            {"CALENDAR_CALLBACK_URL": "https://a.example", "WEBSITE_HOSTNAME": "x.azurewebsites.net"},
            "https://a.example",
        ),
    ],
)
def test_where_exchange_sends_its_notifications(values: dict[str, str], callback: str) -> None:
    assert Environment.read(APP_SETTINGS | values).callback_url == callback


@pytest.mark.parametrize("url", ["https://", "https://[", "ftp://example.com", "/calendar", "https://u:p@x"])
def test_a_callback_that_is_no_address_is_refused(url: str) -> None:
    assert list(refusal(**APP_SETTINGS | {"CALENDAR_CALLBACK_URL": url})) == ["CALENDAR_CALLBACK_URL"]


CLIENT, TENANT = "0f0e0d0c-0b0a-0908-0706-050403020100", "00010203-0405-0607-0809-0a0b0c0d0e0f"
ADMINISTRATION = {
    "CALENDAR_ADMIN_CLIENT_ID": CLIENT,
    "CALENDAR_ADMIN_TENANT_ID": TENANT,
    "CALENDAR_SESSION_KEY": f"{KEY},{FORMER_KEY}",
}


def test_administrators_sign_in_at_entra_id() -> None:
    values = ADMINISTRATION | {"CALENDAR_ADMIN_CLIENT_SECRET": "s", "CALENDAR_ADMIN_SIGN_IN": "entra"}
    administration = Environment.read(APP_SETTINGS | values).administration
    assert administration == Administration(False, CLIENT, TENANT, "s", (KEY, FORMER_KEY))
    assert administration.ready


def test_without_an_application_the_service_works_and_nobody_administers_it() -> None:
    assert not Environment.read(APP_SETTINGS).administration.ready


def test_on_this_machine_nobody_needs_to_sign_in() -> None:
    administration = Environment.read(APP_SETTINGS | {"CALENDAR_ADMIN_SIGN_IN": "local"}).administration
    assert administration.local
    assert administration.ready


@pytest.mark.parametrize("sign", ["WEBSITE_INSTANCE_ID", "WEBSITE_HOSTNAME"])
def test_in_azure_everybody_has_to_sign_in(sign: str) -> None:
    values = APP_SETTINGS | {"CALENDAR_ADMIN_SIGN_IN": "local", sign: "x.azurewebsites.net"}
    assert list(refusal(**values)) == ["CALENDAR_ADMIN_SIGN_IN"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CALENDAR_ADMIN_SIGN_IN", "Local"),
        ("CALENDAR_ADMIN_CLIENT_ID", "calendar"),
        ("CALENDAR_ADMIN_TENANT_ID", ""),
        ("CALENDAR_ADMIN_TENANT_ID", "common"),
        ("CALENDAR_SESSION_KEY", ""),
        ("CALENDAR_SESSION_KEY", "topsecret"),
    ],
)
def test_a_sign_in_that_is_set_by_halves_is_refused(name: str, value: str) -> None:
    faults = refusal(**APP_SETTINGS | ADMINISTRATION | {name: value})
    assert list(faults) == [name]
    assert "topsecret" not in str(faults)


def test_the_environment_does_not_print_its_secrets() -> None:
    printed = repr(
        Environment.read(APP_SETTINGS | ADMINISTRATION | {"CALENDAR_ADMIN_CLIENT_SECRET": "topsecret"})
    )
    assert "calendar.example.com" in printed
    assert KEY not in printed
    assert "AccountKey" not in printed
    assert "topsecret" not in printed
