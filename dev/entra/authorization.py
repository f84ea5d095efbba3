"""The page on which an account signs in, and how the browser is sent back.

With a ``login_hint`` that names an account, that account is signed in at once; without, the page offers all
accounts. Nobody is asked for a password.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Protocol
from urllib.parse import urlencode

from aiohttp import web

from dev.entra.clients import find_application
from dev.entra.directory import EVERY_ORGANIZATION, Account, Application, Directory
from dev.entra.grants import Grants, Signed
from dev.entra.refusals import Refused, unknown_tenant

MODES = ("query", "form_post")


class Counting(Protocol):
    sign_ins: int


def authorize(
    directory: Directory, grants: Grants, tenant: str, query: Mapping[str, str], statistics: Counting
) -> web.Response:
    """Answer the browser. Raises Refused where it can't be sent back."""
    application = find_application(directory, query.get("client_id", ""), tenant)
    redirect_uri = query.get("redirect_uri", "")
    if not application.accepts(redirect_uri):
        raise Refused(
            "invalid_request", 50011, f"The redirect URI '{redirect_uri}' is not one of the application's."
        )
    try:
        _check(query)
        hint = query.get("login_hint", "")
        if not hint:
            return _page(directory, tenant, query)
        account = _account(directory, tenant, application, hint, query)
    except Refused as refused:
        return _send_back(query, {"error": refused.error, "error_description": refused.description})
    code = grants.new_code(
        Signed(
            account,
            application.client_id,
            query["scope"],
            query.get("nonce", ""),
            account.mfa,
            0.0,
            redirect_uri,
            query["code_challenge"],
        )
    )
    statistics.sign_ins += 1
    return _send_back(query, {"code": code})


def _check(query: Mapping[str, str]) -> None:
    if query.get("response_type") != "code" or query.get("response_mode", "query") not in MODES:
        raise Refused("unsupported_response_type", 700054, "Only response_type=code is simulated.")
    if "openid" not in query.get("scope", "").split():
        raise Refused("invalid_scope", 70011, "The scope holds no openid.")
    if query.get("code_challenge_method") != "S256" or not query.get("code_challenge"):
        raise Refused("invalid_request", 9002325, "Proof Key for Code Exchange (S256) is required.")


def _account(
    directory: Directory, tenant: str, application: Application, hint: str, query: Mapping[str, str]
) -> Account:
    account = directory.account(hint)
    if account is None or (tenant not in EVERY_ORGANIZATION and account.tenant != tenant):
        raise Refused("invalid_request", 50034, "The user account does not exist in the directory.")
    if not account.enabled:
        raise Refused("access_denied", 50057, "The user account is disabled.")
    if any("://" in word for word in query["scope"].split()):
        if not application.scopes:
            raise Refused("consent_required", 65001, "Nobody has consented to use the application.")
        if not account.consents:
            raise Refused("access_denied", 65004, "User declined to consent to access the app.")
    return account


def _send_back(query: Mapping[str, str], values: Mapping[str, str]) -> web.Response:
    """A redirection, or for ``form_post`` a page that posts a form by itself."""
    answer = {**values, **({"state": query["state"]} if "state" in query else {})}
    uri = query["redirect_uri"]
    if query.get("response_mode") != "form_post":
        location = f"{uri}{'&' if '?' in uri else '?'}{urlencode(answer)}"
        return web.Response(status=302, headers={"Location": location})
    fields = "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
        for name, value in answer.items()
    )
    return _html(
        f'<form method="post" action="{escape(uri)}">{fields}<button>Go on</button></form>'
        "<script>document.forms[0].submit()</script>"
    )


def _page(directory: Directory, tenant: str, query: Mapping[str, str]) -> web.Response:
    links = "".join(
        f'<li><a href="?{escape(urlencode({**query, "login_hint": account.user_name}))}">'
        f"{escape(account.user_name)}</a></li>"
        for account in directory.accounts
        if tenant in EVERY_ORGANIZATION or account.tenant == tenant
    )
    return _html(f"<h1>Sign in as</h1><ul>{links}</ul>")


def _html(body: str) -> web.Response:
    text = f'<!doctype html><html lang="en"><title>Sign in</title>{body}</html>'
    return web.Response(text=text, content_type="text/html")


def resolve_tenant(directory: Directory, name: str) -> str:
    """The id of the tenant in an address, or the word for all of them. Raises Refused."""
    if name in EVERY_ORGANIZATION:
        return name
    tenant = directory.tenant(name)
    if tenant is None:
        raise unknown_tenant(name)
    return tenant.id
