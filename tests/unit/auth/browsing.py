"""What the administrator's browser does in a sign-in."""

from __future__ import annotations

import ssl
from urllib.parse import parse_qs, urlsplit

import httpx

from shared.auth.delegated import DelegatedTokens
from shared.auth.sign_in import SignIn
from tests.unit.dev.entra.client import form_in

REDIRECT_URI = "https://calendar.example.com/signed-in"
USER = "calendar@example.com"


async def answer_of(url: str, tls: ssl.SSLContext, **changes: str) -> dict[str, str]:
    """The form that Entra ID has the browser post, after a visit to ``url`` with its query changed."""
    query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()} | changes
    async with httpx.AsyncClient(verify=tls) as browser:
        page = await browser.get(url.split("?")[0], params=query)
    return form_in(page.text)


async def sign_in(tokens: DelegatedTokens, tls: ssl.SSLContext, user: str = USER) -> SignIn:
    """All of it."""
    return await tokens.complete(await answer_of(await tokens.begin(REDIRECT_URI, user), tls))
