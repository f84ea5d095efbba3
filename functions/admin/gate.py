"""Who may pass: every request goes through here before anything else sees it.

Nobody passes without a session or a token of an administrator, but for signing in and for the files that
pages are made of. What changes something has to come from a page of ours.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from urllib.parse import parse_qs, quote, urlsplit

from fastapi import FastAPI
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import Message, Receive, Scope, Send

from functions.admin import headers as safety
from functions.admin.assets import PREFIX
from functions.admin.bearer import BearerTokens, KeysUnavailable, RoleMissing, TokenRefused
from functions.admin.problems import API, Problem, answer
from functions.admin.rendering import Renderer
from functions.admin.session import LOCAL, Administrator, Session, Sessions
from functions.services import Services
from shared.state.audit import Action

_log = logging.getLogger(__name__)

OPEN = ("/sign-in", "/signed-in", "/signed-out", "/authenticated")
"""What anybody may ask for, besides the files under `PREFIX`.

Browsers send no cookie with what Entra ID has them post to ``/signed-in`` and ``/authenticated``.
"""

BODY_LIMIT = 256 * 1024
"""Bytes of a request; a certificate has a few thousand."""

_SAFE = ("GET", "HEAD", "OPTIONS")
_HERE = ("localhost", "127.0.0.1", "::1")
_PROXIED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "disguised-host", "client-ip")
_FORM = "application/x-www-form-urlencoded"


class Gate:
    """Asks who it is, keeps forged requests out, renews sessions and records what was done."""

    def __init__(
        self,
        application: FastAPI,
        calendar: Services,
        sessions: Sessions,
        bearer: BearerTokens | None,
        now: Callable[[], datetime],
    ) -> None:
        self.application = application
        self._calendar = calendar
        self._administration = calendar.environment.administration
        self._public = urlsplit(calendar.environment.callback_url)
        self._sessions = sessions
        self._bearer = bearer
        self._now = now
        self.https = self._public.scheme == "https"
        self.cookie = "__Host-calendar" if self.https else "calendar"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        scope.setdefault("state", {})
        scope["state"] |= {"administrator": None, "session": None, "recorded": False}
        scope["app"] = self.application
        request = Request(scope, receive)
        sent = _Sent(send, https=self.https)
        try:
            body = await _read(request)
            refusal = await self._admit(request, body)
            if refusal is None:
                sent.cookie = self._renewed(request)
                await self.application(scope, _replay(body, receive), sent)
                await self._record(request, sent.status)
                return
        except Problem as problem:
            refusal = await answer(request, problem)
        except Exception as error:
            # The application has answered and logged it already; here it would end the function.
            if sent.complete:
                return
            if sent.status:
                # Half an answer must not pass for a whole one.
                raise
            _log.exception("request failed", extra={"code": type(error).__name__})
            refusal = await answer(request, Problem(500))
        await refusal(scope, receive, sent)

    async def _admit(self, request: Request, body: bytes) -> Response | None:
        """What to answer in place of what was asked for, if anything. Raises Problem."""
        path = request.url.path
        if self._administration.local and not is_here(request.headers):
            raise Problem(403, "This service lets in whoever sits at its own machine, and nobody else.")
        if path.startswith(PREFIX) or path in OPEN:
            return None
        if not self._administration.ready:
            raise Problem(
                503, "CALENDAR_ADMIN_CLIENT_ID is not set: the administration has no application in Entra ID."
            )
        who = await self._who(request)
        if who is None:
            return await self._unknown(request)
        request.state.administrator = who
        if request.method not in _SAFE and who.session:
            self._check_origin(request)
            self._check_token(request, who.session, body)
        return None

    async def _who(self, request: Request) -> Administrator | None:
        if self._administration.local:
            return LOCAL
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self._bearer and request.url.path.startswith(API):
            return await self._of_token(self._bearer, token.strip())
        session = self._sessions.open_session(request.cookies.get(self.cookie, ""), self._now())
        request.state.session = session
        return session.administrator if session else None

    async def _of_token(self, bearer: BearerTokens, token: str) -> Administrator:
        try:
            return await bearer.verify(token)
        except TokenRefused as error:
            challenge = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
            raise Problem(401, f"The access token is refused. {error}", headers=challenge) from error
        except RoleMissing as error:
            challenge = {"WWW-Authenticate": 'Bearer error="insufficient_scope"'}
            raise Problem(403, str(error), headers=challenge) from error
        except KeysUnavailable as error:
            raise Problem(503, str(error)) from error

    async def _unknown(self, request: Request) -> Response:
        """To the sign-in, and from there back to the page that was asked for, or that holds the form."""
        if request.url.path.startswith(API):
            raise Problem(401, headers={"WWW-Authenticate": "Bearer"})
        if "hx-request" in request.headers:
            here = urlsplit(request.headers.get("hx-current-url", ""))
            back = sign_in_path(here.path + (f"?{here.query}" if here.query else ""))
            return Response(status_code=401, headers={"HX-Redirect": back})
        if request.method in _SAFE:
            query = request.url.query
            return RedirectResponse(sign_in_path(request.url.path + (f"?{query}" if query else "")), 303)
        if request.url.path == "/sign-out":
            return RedirectResponse("/signed-out", 303)
        # Browsers let no form of ours lead to another site, not even by a redirection.
        sender = urlsplit(request.headers.get("referer", ""))
        ours = sender.netloc in (self._public.netloc, request.headers.get("host", ""))
        renderer: Renderer = self.application.state.renderer
        return await renderer.page(
            request, "session_over.html", status=401, sign_in=sign_in_path(sender.path if ours else "/")
        )

    def _check_origin(self, request: Request) -> None:
        origin = request.headers.get("origin")
        if origin is not None and urlsplit(origin).netloc not in (
            self._public.netloc,
            request.headers.get("host", ""),
        ):
            raise Problem(403, "The request comes from a page of somebody else.")
        if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            raise Problem(403, "The request comes from a page of somebody else.")

    def _check_token(self, request: Request, session: str, body: bytes) -> None:
        token = request.headers.get("x-csrf-token", "")
        if not token and request.headers.get("content-type", "").startswith(_FORM):
            token = parse_qs(body.decode(errors="replace")).get("csrf_token", [""])[0]
        if not self._sessions.is_csrf_token(session, token):
            raise Problem(
                403, "The request was not made by a page of this session. Open the page again and repeat it."
            )

    def _renewed(self, request: Request) -> str:
        """A session cookie with a new sign of life; pages that refresh themselves give none."""
        session: Session | None = request.state.session
        by_itself = request.method in _SAFE and "hx-request" in request.headers
        renewed = self._sessions.renew(session, self._now()) if session and not by_itself else None
        return self.set_cookie(self._sessions.seal_session(renewed)) if renewed else ""

    def set_cookie(self, value: str, name: str = "", life: int | None = None) -> str:
        """The header that sets a cookie of ours; without ``life`` (seconds) the browser's end is its end."""
        end = "" if life is None else f"; Max-Age={life}"
        secure = "; Secure" if self.https else ""
        return f"{name or self.cookie}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{end}"

    async def _record(self, request: Request, status: int) -> None:
        """Every change leaves a trace, also one whose author forgot to name it."""
        who: Administrator | None = request.state.administrator
        if who and request.method not in _SAFE and status < 400 and not request.state.recorded:
            action = Action(self._now(), who.name, f"{request.method} {request.url.path}")
            await self._calendar.audit.record(action)


class _Sent:
    """What is sent to the caller, made safe on its way."""

    def __init__(self, send: Send, *, https: bool) -> None:
        self._send = send
        self._https = https
        self.status = 0
        self.complete = False
        self.cookie = ""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            safety.secure(headers, https=self._https)
            if self.cookie and "set-cookie" not in headers:
                headers.append("Set-Cookie", self.cookie)
        await self._send(message)
        self.complete = message["type"] == "http.response.body" and not message.get("more_body", False)


def is_here(headers: Headers) -> bool:
    """Whether a request says that it was made on this machine, and nothing passed it on."""
    if any(name in headers for name in _PROXIED) or any(name.startswith("x-arr-") for name in headers):
        return False
    try:
        return urlsplit(f"//{headers.get('host', '')}").hostname in _HERE
    except ValueError:
        return False


def sign_in_path(back: str) -> str:
    """Where to sign in, and go on at ``back``."""
    return f"/sign-in?next={quote(back, safe='/')}" if is_own_path(back) and back != "/" else "/sign-in"


def is_own_path(path: str) -> bool:
    """Whether it leads to a page of ours and not, by a trick, elsewhere."""
    return path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()


async def _read(request: Request) -> bytes:
    body = await request.body()
    if len(body) > BODY_LIMIT:
        raise Problem(413)
    return body


def _replay(body: bytes, receive: Receive) -> Receive:
    """The body once more; after it whatever the server says."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return messages.pop() if messages else await receive()

    return receive_again
