"""The app settings of the deployment."""

import base64

import pytest

from shared.environment import Environment
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


def test_the_environment_does_not_print_its_secrets() -> None:
    printed = repr(Environment.read(APP_SETTINGS))
    assert "calendar.example.com" in printed
    assert KEY not in printed
    assert "AccountKey" not in printed
