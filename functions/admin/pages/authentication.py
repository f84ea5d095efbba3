"""Authenticate: somebody signs in once, and Exchange is asked in their name from then on."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from functions.admin.context import Calendar, Now, Pages, Recording
from functions.admin.delegation import (
    PATH,
    begin_delegation,
    complete_delegation,
    describe_delegation,
    revoke_delegation,
)
from functions.admin.gate import Gate
from functions.admin.session import Sessions
from shared.auth.delegated import FLOW_LIFE
from shared.errors import ExchangeError, SettingsError, SignInRefused

router = APIRouter(include_in_schema=False)

_HERE = "/configuration/exchange"

_ANSWER_LIFE = timedelta(minutes=1)
"""How long the browser may take from one of our addresses to the next."""

_FIELDS = ("code", "state", "error", "error_description")
"""What of Entra ID's answer is looked at."""


@router.post(_HERE + "/authenticate")
async def begin(request: Request, pages: Pages, calendar: Calendar, record: Recording, now: Now) -> Response:
    """On to Entra ID. The cookie says which sign-in was begun in this browser.

    A redirection would not do: to browsers that is a form sent to another site, which our pages forbid.
    """
    try:
        target = await begin_delegation(calendar)
    except (ExchangeError, SettingsError) as error:
        return await _fail(request, pages, error)
    await record("began the sign-in to Exchange", "")
    refresh = {"Refresh": f"0; url={target}"}
    answer = await pages.page(request, "authenticating.html", headers=refresh, target=target)
    state = parse_qs(urlsplit(target).query)["state"][0]
    sealed = _sessions(request).seal("authenticating", {"state": state}, now.timestamp())
    answer.headers.append(
        "Set-Cookie", _gate(request).set_cookie(sealed, _cookie(request), FLOW_LIFE.seconds)
    )
    return answer


@router.post(PATH)
async def receive(request: Request, now: Now) -> Response:
    """Entra ID's answer, posted by the browser, which sends no cookie with what another site posts.

    So it is asked to come once more, with the answer sealed in the address, where the session is known.
    """
    form = await request.form()
    fields = {name: str(form[name]) for name in _FIELDS if name in form}
    sealed = _sessions(request).seal("authenticated", fields, now.timestamp())
    return RedirectResponse(f"{_HERE}/authenticated?answer={sealed}", 303)


@router.get(_HERE + "/authenticated")
async def complete(
    request: Request, pages: Pages, calendar: Calendar, record: Recording, now: Now, answer: str = ""
) -> Response:
    """Back from Entra ID: keep the tokens, or explain what it refused."""
    sessions = _sessions(request)
    begun = sessions.open("authenticating", request.cookies.get(_cookie(request), ""), now, FLOW_LIFE)
    fields = sessions.open("authenticated", answer, now, _ANSWER_LIFE)
    if begun is None or fields is None or fields.get("state") != begun["state"]:
        return await _fail(request, pages, None)
    try:
        sign_in = await complete_delegation(calendar, fields)
    except (ExchangeError, SettingsError) as error:
        code = error.code if isinstance(error, ExchangeError) else error.field
        await record("failed to sign in to Exchange", code)
        return await _fail(request, pages, error)
    await record("signed in to Exchange", sign_in.account)
    done = RedirectResponse(f"{_HERE}?sign_in=done#sign-in", 303)
    done.headers.append("Set-Cookie", _gate(request).set_cookie("", _cookie(request), 0))
    return done


@router.post(_HERE + "/revoke")
async def revoke(calendar: Calendar, record: Recording) -> Response:
    """Forget the sign-in."""
    sign_in = (await describe_delegation(calendar)).sign_in
    await revoke_delegation(calendar)
    await record("revoked the sign-in to Exchange", sign_in.account if sign_in else "")
    return RedirectResponse(f"{_HERE}?sign_in=revoked#sign-in", 303)


async def _fail(request: Request, pages: Pages, error: ExchangeError | SettingsError | None) -> Response:
    """Why nobody has signed in; without an error the answer is not one to what this browser has begun."""
    status = 403 if isinstance(error, SignInRefused) else 502 if isinstance(error, ExchangeError) else 400
    page = await pages.page(
        request,
        "not_authenticated.html",
        status=status,
        code=error.code if isinstance(error, ExchangeError) else "",
        text=str(error or "This browser has begun no such sign-in, or it took too long. Begin it again."),
    )
    page.headers.append("Set-Cookie", _gate(request).set_cookie("", _cookie(request), 0))
    return page


def _cookie(request: Request) -> str:
    return f"{_gate(request).cookie}-authenticate"


def _gate(request: Request) -> Gate:
    gate: Gate = request.app.state.gate
    return gate


def _sessions(request: Request) -> Sessions:
    sessions: Sessions = request.app.state.sessions
    return sessions
