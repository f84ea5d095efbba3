"""A plain OAuth client, by hand: it knows nothing of MSAL, and can do everything wrong."""

from __future__ import annotations

import base64
import hashlib
import re
import ssl
from html import unescape
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx

from dev.entra import EntraSimulator

SCOPE = "https://outlook.office365.com/.default"
DELEGATED = f"openid profile offline_access {SCOPE}"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()


class OauthClient:
    """What an application and a browser send. Every field can be given otherwise, or left out (None)."""

    def __init__(self, entra: EntraSimulator) -> None:
        self.entra = entra
        self.http = httpx.AsyncClient(verify=ssl.create_default_context(cadata=entra.ca_pem))

    async def ask(self, /, tenant: str | None = None, **fields: str | None) -> httpx.Response:
        """A token request, by client credentials unless said otherwise."""
        form = {
            "client_id": self.entra.application.client_id,
            "client_secret": "secret",
            "grant_type": "client_credentials",
            "scope": SCOPE,
        } | fields
        url = f"{self.entra.url}/{tenant}" if tenant else self.entra.authority
        data = {name: value for name, value in form.items() if value is not None}
        return await self.http.post(f"{url}/oauth2/v2.0/token", data=data)

    async def authorize(self, /, tenant: str | None = None, **fields: str | None) -> httpx.Response:
        """The browser at the sign-in page."""
        query = {
            "client_id": self.entra.application.client_id,
            "redirect_uri": self.entra.application.redirect_uris[0],
            "response_type": "code",
            "scope": DELEGATED,
            "state": "s",
            "nonce": "n",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
            "login_hint": "calendar@example.com",
        } | fields
        url = f"{self.entra.url}/{tenant}" if tenant else self.entra.authority
        params = {name: value for name, value in query.items() if value is not None}
        return await self.http.get(f"{url}/oauth2/v2.0/authorize", params=params)

    async def code(self, **fields: str | None) -> str:
        return sent_back(await self.authorize(**fields))["code"]

    async def redeem(self, code: str, **fields: str | None) -> httpx.Response:
        form: dict[str, str | None] = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.entra.application.redirect_uris[0],
            "code_verifier": VERIFIER,
            "scope": DELEGATED,
        }
        return await self.ask(**(form | fields))

    async def refresh(self, token: str, **fields: str | None) -> httpx.Response:
        form: dict[str, str | None] = {
            "grant_type": "refresh_token",
            "refresh_token": token,
            "scope": DELEGATED,
        }
        return await self.ask(**(form | fields))


def sent_back(response: httpx.Response) -> dict[str, str]:
    """What a browser would bring back to the application, by redirection or by a form that posts itself."""
    if response.status_code == 302:
        return dict(parse_qsl(urlsplit(response.headers["location"]).query))
    return form_in(response.text)


def form_in(page: str) -> dict[str, str]:
    """The hidden fields of a page."""
    found = re.findall(r'<input type="hidden" name="(.*?)" value="(.*?)">', page)
    return {unescape(name): unescape(value) for name, value in found}


def codes(response: httpx.Response) -> list[int]:
    """Entra ID's codes in a refusal."""
    answer: dict[str, Any] = response.json()
    assert f"AADSTS{answer['error_codes'][0]}:" in answer["error_description"]
    return list(answer["error_codes"])
