"""What a browser is told where the service is reached over https, and who vouches for the application."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from cryptography.fernet import Fernet

from functions.admin import sign_in
from functions.admin.app import create_app
from functions.services import Services
from shared.environment import Environment

GUID = "00010203-0405-0607-0809-0a0b0c0d0e0f"
SETTINGS = {
    "AzureWebJobsStorage": "UseDevelopmentStorage=true",
    "CALENDAR_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
    "CALENDAR_CALLBACK_URL": "https://calendar.example.com",
}
SIGN_IN = {
    "CALENDAR_ADMIN_CLIENT_ID": GUID,
    "CALENDAR_ADMIN_TENANT_ID": GUID,
    "CALENDAR_SESSION_KEY": Fernet.generate_key().decode(),
}


def browser(settings: dict[str, str]) -> httpx.AsyncClient:
    gate = create_app(Services(Environment.read(settings)))
    return httpx.AsyncClient(transport=httpx.ASGITransport(gate), base_url="https://calendar.example.com")


def test_over_https_the_cookie_is_for_this_host_and_never_sent_in_the_clear() -> None:
    gate = create_app(Services(Environment.read(SETTINGS | SIGN_IN)))
    cookie = gate.set_cookie("value")
    assert cookie == "__Host-calendar=value; Path=/; HttpOnly; SameSite=Lax; Secure"


async def test_over_https_browsers_are_told_to_come_no_other_way() -> None:
    async with browser(SETTINGS | SIGN_IN) as client:
        answer = await client.get("/")
    assert answer.status_code == 303
    assert "max-age=31536000" in answer.headers["strict-transport-security"]


@pytest.mark.parametrize("path", ["/", "/actions", "/api/admin/v1/me", "/nothing"])
async def test_without_an_application_nobody_is_let_in(path: str) -> None:
    async with browser(SETTINGS) as client:
        answer = await client.get(path, headers={"Authorization": "Bearer x"})
    assert answer.status_code == 503
    assert "CALENDAR_ADMIN_CLIENT_ID" in answer.text


def test_a_secret_vouches_for_the_application() -> None:
    assert sign_in.credential("secret", "identity") == "secret"


def test_without_a_secret_the_managed_identity_vouches(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    class Identity:
        def __init__(self, client_id: str | None) -> None:
            asked.append(client_id)

        def get_token(self, scope: str) -> Any:
            asked.append(scope)
            return type("Token", (), {"token": "assertion"})

    monkeypatch.setattr(sign_in, "ManagedIdentityCredential", Identity)
    found = sign_in.credential("", "identity")
    assert isinstance(found, dict)
    assert found["client_assertion"]() == "assertion"
    assert asked == ["identity", "api://AzureADTokenExchange/.default"]
