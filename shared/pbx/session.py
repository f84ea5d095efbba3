"""One session with the PBX: connect, sign in, replicate, set presences."""

from __future__ import annotations

import asyncio
import itertools
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, WebSocketException

from shared.errors import PbxError, PbxLoginRefused, PbxUnavailable, PresenceRefused, WrongPbx
from shared.pbx import protocol
from shared.pbx.protocol import Answer, Identity, TableRow

ANSWER_TIMEOUT = 10.0
"""Seconds for one answer: an API that is not granted may never answer."""

WINDOW = 64
"""SetPresence requests under way at a time."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """A presence that one user is to get. ``activity`` is as the PBX writes it."""

    guid: str
    sip: str
    activity: str
    note: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an assignment: ``error`` is None where the PBX acknowledged it."""

    assignment: Assignment
    error: PbxError | None


@dataclass(frozen=True, slots=True)
class PbxLink:
    """How to reach the PBX: ``url`` is wss, ``name`` its PBX name, ``certificate`` PEM or empty."""

    url: str
    name: str
    app: str
    password: str = field(repr=False)
    certificate: str = ""


class PbxSession:
    """A signed-in session. Made by `open_session`; every wait is bounded.

    Answers are matched by ``src``, so any number of requests may be under way.
    """

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._sources = (f"r{number}" for number in itertools.count(1))
        self._waiting: dict[str, asyncio.Future[Answer]] = {}
        self._pushed: list[TableRow] = []
        self._presence_answered = False
        self._announced: asyncio.Future[Identity] = asyncio.get_running_loop().create_future()
        self._reader = asyncio.create_task(self._read())
        self.identity: Identity | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._connection.close()
        await self._reader

    async def sign_in(self, app: str, password: str) -> None:
        """Answer the PBX's challenge.

        Raises:
            PbxLoginRefused: the app's name or password is wrong.
            PbxUnavailable: no answer came.
        """
        challenge = await self._ask("AppChallengeResult", protocol.challenge_request())
        try:
            answer = await self._ask(
                "AppLoginResult",
                protocol.login_request(app, password, str(challenge.body.get("challenge", ""))),
            )
        except PbxUnavailable as error:
            raise _login_refused(app, "the PBX closed the connection") from error
        if answer.body.get("ok") is not True:
            raise _login_refused(app, answer.error or "no reason given")

    async def identify(self) -> Identity | None:
        """The PBX's name and domain, or None where the Admin API is not granted."""
        src = next(self._sources)
        try:
            answer = await self._ask(src, protocol.identity_request(src))
            if answer.error:
                return None
            return await asyncio.wait_for(asyncio.shield(self._announced), ANSWER_TIMEOUT)
        except (PbxUnavailable, TimeoutError):
            if self._closed:
                raise PbxUnavailable("The PBX closed the connection.") from None
            return None

    async def users(self) -> AsyncIterator[TableRow]:
        """All rows of the users table, then what changed meanwhile.

        A row that comes twice replaces the earlier one; a row without a user is one to forget.

        Raises:
            PbxLoginRefused: the TableUsers API is not granted.
            PbxUnavailable: the replication broke off; what came so far is not everybody.
        """
        src = next(self._sources)
        try:
            started = await self._ask(src, protocol.replicate_start(src))
        except PbxUnavailable as error:
            if self._closed:
                raise
            raise _not_granted("TableUsers", "it does not answer") from error
        if started.error:
            raise _not_granted("TableUsers", started.error)
        while True:
            answer = await self._ask(src, protocol.replicate_next(src))
            if answer.error:
                raise PbxUnavailable(f"The PBX broke off the replication of its users: {answer.error}.")
            row = protocol.read_row(answer)
            if row is None:
                break
            yield row
        for row in self._pushed:
            yield row
        self._pushed.clear()

    async def set_presences(self, assignments: Iterable[Assignment]) -> list[Outcome]:
        """Set many users' presences, `WINDOW` requests under way at a time.

        Returns what became of each. A user whom the PBX refuses or does not answer for does not stop the
        others; when the connection is lost, all that had no answer fail with PbxUnavailable.
        """
        window = asyncio.Semaphore(WINDOW)

        async def set_one(assignment: Assignment) -> Outcome:
            async with window:
                try:
                    await self._set_presence(assignment)
                except PbxError as error:
                    return Outcome(assignment, error)
                return Outcome(assignment, None)

        return await asyncio.gather(*(set_one(assignment) for assignment in assignments))

    async def _set_presence(self, assignment: Assignment) -> None:
        src = next(self._sources)
        request = protocol.presence_request(
            src, assignment.sip, assignment.guid, assignment.activity, assignment.note
        )
        try:
            answer = await self._ask(src, request)
        except PbxUnavailable as error:
            if self._closed:
                raise
            if not self._presence_answered:
                await self._connection.close()
                raise _not_granted("PbxApi", "it does not answer") from error
            raise PresenceRefused(None, "The PBX did not answer when the presence was set.") from error
        self._presence_answered = True
        if answer.error:
            code = answer.body.get("error")
            raise PresenceRefused(
                code if isinstance(code, int) else None, f"The PBX answered {answer.error}."
            )

    @property
    def _closed(self) -> bool:
        return self._reader.done()

    async def _ask(self, key: str, request: str) -> Answer:
        """Send a request and wait for the answer that ``key`` (its ``src``, or its type) names."""
        if self._closed:
            raise PbxUnavailable("The PBX closed the connection.")
        waiting = self._waiting[key] = asyncio.get_running_loop().create_future()
        try:
            await self._connection.send(request)
            return await asyncio.wait_for(waiting, ANSWER_TIMEOUT)
        except TimeoutError as error:
            raise PbxUnavailable(f"The PBX did not answer within {ANSWER_TIMEOUT:.0f} s.") from error
        except WebSocketException as error:
            raise PbxUnavailable("The PBX closed the connection.") from error
        finally:
            del self._waiting[key]

    async def _read(self) -> None:
        """Hand every message to whoever waits for it, until the connection ends."""
        try:
            async for text in self._connection:
                self._dispatch(protocol.read_answer(text))
        except (WebSocketException, PbxUnavailable):
            await self._connection.close()
        finally:
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(PbxUnavailable("The PBX closed the connection."))

    def _dispatch(self, answer: Answer) -> None:
        if answer.type == "MonitorConfigInfo" and not self._announced.done():
            self._announced.set_result(protocol.read_identity(answer))
        elif answer.type in ("ReplicateAdd", "ReplicateUpdate", "ReplicateDel"):
            row = protocol.read_row(answer)
            if row is not None:
                self._pushed.append(row)
        else:
            waiting = self._waiting.get(answer.src or answer.type)
            if waiting is not None and not waiting.done():
                waiting.set_result(answer)


@asynccontextmanager
async def open_session(link: PbxLink) -> AsyncIterator[PbxSession]:
    """Connect, check the certificate, sign in.

    Raises:
        PbxLoginRefused: the app's name or password is wrong.
        WrongPbx: another PBX answered than ``link.name``.
        PbxUnavailable: no way to the PBX, or its certificate is not trusted.
    """
    context = ssl.create_default_context()
    if link.certificate:
        context.load_verify_locations(cadata=link.certificate)
    try:
        connection = await connect(
            link.url, ssl=context, compression=None, open_timeout=ANSWER_TIMEOUT, close_timeout=1, proxy=None
        )
    except ssl.SSLCertVerificationError as error:
        raise PbxUnavailable(
            f"pbx.certificate: the PBX's certificate is not trusted ({error.verify_message}). "
            "Configure the certificate or the authority that signed it."
        ) from error
    except InvalidHandshake as error:
        raise PbxUnavailable(
            "pbx.address: what answered is not a PBX's websocket. Correct the address."
        ) from error
    except (OSError, TimeoutError, WebSocketException) as error:
        raise PbxUnavailable(
            "pbx.address: no connection to the PBX. It is away, or the address is wrong."
        ) from error
    async with PbxSession(connection) as session:
        await session.sign_in(link.app, link.password)
        session.identity = await session.identify()
        if session.identity is not None and session.identity.name != link.name:
            raise WrongPbx(link.name, session.identity.name)
        yield session


def _login_refused(app: str, reason: str) -> PbxLoginRefused:
    return PbxLoginRefused(
        f"pbx.password: the PBX refused the app {app!r} ({reason}). "
        "Compare name and password with the App object on the PBX."
    )


def _not_granted(api: str, reason: str) -> PbxLoginRefused:
    return PbxLoginRefused(
        f"The PBX does not let this app use the API {api} ({reason}). Tick it at the App object on the PBX."
    )
