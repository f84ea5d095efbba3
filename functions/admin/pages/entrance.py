"""Signing in and out."""

from __future__ import annotations

from datetime import timedelta

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from functions.admin.context import Now, Pages, Recording, Who
from functions.admin.gate import Gate, is_own_path
from functions.admin.problems import Problem
from functions.admin.session import Sessions
from functions.admin.sign_in import SignIn, SignInFailed
from shared.state.audit import Action

router = APIRouter(include_in_schema=False)

_FLOW_LIFE = timedelta(minutes=15)
"""How long a sign-in may take."""

_ANSWER_LIFE = timedelta(minutes=1)
"""How long the browser may take from one of our addresses to the next."""


@router.get("/sign-in")
async def begin(request: Request, now: Now, next: str = "/", choose: bool = False) -> Response:
    """Send the browser to Entra ID; what completes the sign-in travels in a sealed cookie."""
    sign_in: SignIn | None = request.app.state.sign_in
    if sign_in is None:
        return _see_other("/")
    try:
        flow = await sign_in.begin(choose=choose)
    except SignInFailed as failure:
        raise Problem(failure.status, str(failure), title=failure.title) from failure
    gate, sessions = _gate(request), _sessions(request)
    target = flow.pop("auth_uri")
    flow["next"] = next if is_own_path(next) else "/"
    answer = _see_other(target)
    sealed = sessions.seal("flow", flow, now.timestamp())
    answer.headers.append("Set-Cookie", gate.set_cookie(sealed, _flow_cookie(gate), _FLOW_LIFE.seconds))
    return answer


@router.post("/signed-in")
async def receive(request: Request, now: Now) -> Response:
    """Entra ID's answer, posted by the browser, which sends no cookie with what another site posts.

    So it is asked to come once more, with the answer sealed in the address.
    """
    form = await request.form()
    fields = {name: str(value) for name, value in form.items()}
    return _see_other(f"/signed-in?answer={_sessions(request).seal('answer', fields, now.timestamp())}")


@router.get("/signed-in")
async def complete(request: Request, now: Now, answer: str = "") -> Response:
    """Back from Entra ID: begin the session and forget the flow."""
    sign_in: SignIn | None = request.app.state.sign_in
    if sign_in is None:
        return _see_other("/")
    gate, sessions = _gate(request), _sessions(request)
    flow = sessions.open("flow", request.cookies.get(_flow_cookie(gate), ""), now, _FLOW_LIFE)
    fields = sessions.open("answer", answer, now, _ANSWER_LIFE)
    try:
        if flow is None or fields is None:
            raise SignInFailed(
                400,
                "You are not signed in",
                "This browser has begun no sign-in here, or it took too long. Begin it again.",
            )
        target = flow.pop("next")
        who = await sign_in.complete(flow, fields)
    except SignInFailed as failure:
        if failure.who:
            await _remember(request, failure.who, now, "was refused: no administrator")
        return await _refuse(request, failure)
    entered = _see_other(target)
    entered.headers.append("Set-Cookie", gate.set_cookie("", _flow_cookie(gate), 0))
    sealed = sessions.seal_session(sessions.begin(who, now))
    entered.headers.append("Set-Cookie", gate.set_cookie(sealed))
    await _remember(request, who.name, now, "signed in")
    return entered


@router.post("/sign-out")
async def leave(request: Request, record: Recording, who: Who) -> Response:
    """End the session in this browser."""
    await record("signed out", "")
    answer = _see_other("/signed-out")
    answer.headers.append("Set-Cookie", _gate(request).set_cookie("", life=0))
    return answer


@router.get("/signed-out")
async def left(request: Request, pages: Pages) -> Response:
    """Where one ends up."""
    return await pages.page(request, "signed_out.html")


async def _refuse(request: Request, failure: SignInFailed) -> Response:
    pages = request.app.state.renderer
    answer: Response = await pages.page(
        request, "sign_in_failed.html", status=failure.status, title=failure.title, text=str(failure)
    )
    gate = _gate(request)
    answer.headers.append("Set-Cookie", gate.set_cookie("", _flow_cookie(gate), 0))
    return answer


async def _remember(request: Request, who: str, now: Now, what: str) -> None:
    await request.app.state.calendar.audit.record(Action(now, who, what))


def _see_other(target: str) -> Response:
    return RedirectResponse(target, 303)


def _flow_cookie(gate: Gate) -> str:
    return f"{gate.cookie}-sign-in"


def _gate(request: Request) -> Gate:
    gate: Gate = request.app.state.gate
    return gate


def _sessions(request: Request) -> Sessions:
    sessions: Sessions = request.app.state.sessions
    return sessions
