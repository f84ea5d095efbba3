"""One session with the PBX: connect, sign in, replicate, set presences."""

from __future__ import annotations

import asyncio
import itertools
import logging
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

_FAREWELL = 2.0
"""Seconds for closing the connection."""

_IDENTITY = "pbx"
_CLOSED = "The PBX closed the connection."

# At its DEBUG level the library writes every frame: digests, names, subjects.
_wire = logging.getLogger(f"{__name__}.wire")
_wire.setLevel(logging.INFO)


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
    """A signed-in session. Made by `open_session`; every wait is bounded by ``patience`` seconds.

    Answers are matched by ``src``, so any number of requests may be under way.
    """

    def __init__(self, connection: ClientConnection, patience: float) -> None:
        self._connection = connection
        self._patience = patience
        self._sources = (f"r{number}" for number in itertools.count(1))
        self._waiting: dict[str, asyncio.Future[Answer | None]] = {}
        self._pushed: list[TableRow] = []
        self._presence_answers: list[Answer] = []
        self._presences_heard = asyncio.Event()
        self._presence_answered = False
        self._presence_unanswered = False
        self._end = ""
        self._reader = asyncio.create_task(self._read())
        self.identity: Identity | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            async with asyncio.timeout(_FAREWELL):
                await self._connection.close()
        except TimeoutError:
            # The PBX has stopped reading; the library would wait for room to say good-bye.
            self._connection.transport.abort()
        await self._reader

    async def sign_in(self, app: str, password: str) -> None:
        """Answer the PBX's challenge.

        Raises:
            PbxLoginRefused: the app's name or password is wrong.
            PbxUnavailable: no answer came.
        """
        challenge = await self._ask("AppChallengeResult", protocol.challenge_request())
        if challenge is None:
            raise self._silence()
        request = protocol.login_request(app, password, str(challenge.body.get("challenge", "")))
        try:
            answer = await self._ask("AppLoginResult", request)
        except PbxUnavailable as error:
            if str(error) != _CLOSED:
                raise
            raise _login_refused(app, "the PBX closed the connection") from error
        if answer is None:
            raise self._silence()
        if answer.body.get("ok") is not True:
            raise _login_refused(app, answer.error or "no reason given")

    async def identify(self) -> Identity | None:
        """The PBX's name and domain, or None where the Admin API is not granted.

        Raises:
            PbxUnavailable: the connection was lost.
        """
        answer = await self._ask(_IDENTITY, protocol.identity_request(_IDENTITY))
        return None if answer is None or answer.error else protocol.read_identity(answer)

    async def users(self) -> AsyncIterator[TableRow]:
        """All rows of the users table, then what changed meanwhile.

        A row that comes twice replaces the earlier one; a row without a user is one to forget.

        Raises:
            PbxLoginRefused: the TableUsers API is not granted.
            PbxUnavailable: the replication broke off; what came so far is not everybody.
        """
        src = next(self._sources)
        started = await self._ask(src, protocol.replicate_start(src))
        if started is None or started.error:
            raise _not_granted("TableUsers", started.error if started else None)
        while True:
            answer = await self._ask(src, protocol.replicate_next(src))
            if answer is None:
                raise self._silence()
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
        others; when the connection is lost, all that had no answer fail with PbxUnavailable. Where nobody
        at all is answered for, the session ends with the second of them: the API is not granted.
        """
        assignments = list(assignments)
        outcomes: dict[int, Outcome] = {}
        under_way: dict[str, tuple[int, float]] = {}
        clock = asyncio.get_running_loop().time

        def settle(src: str, answer: Answer | None) -> None:
            if src in under_way:
                number, _ = under_way.pop(src)
                outcomes[number] = Outcome(assignments[number], self._judge(answer))

        begun = 0
        while len(outcomes) < len(assignments) and not self._end:
            while begun < len(assignments) and len(under_way) < WINDOW and not self._end:
                src = next(self._sources)
                under_way[src] = begun, clock() + self._patience
                await self._send_presence(src, assignments[begun])
                begun += 1
            # The oldest is the first to be given up, and not while others are being answered for.
            oldest, (_, deadline) = next(iter(under_way.items()))
            await self._hear_of_presences(deadline)
            if not self._presence_answers and deadline <= clock():
                settle(oldest, None)
            for answer in self._presence_answers:
                settle(answer.src, answer)
            self._presence_answers.clear()
        return [
            outcomes.get(number) or Outcome(assignment, PbxUnavailable(self._end))
            for number, assignment in enumerate(assignments)
        ]

    async def answer_for_nobody(self) -> str | None:
        """What the PBX answers when the presence of somebody who doesn't exist is to be set.

        Changes nothing; it shows whether the PbxApi answers. None where no answer came.

        Raises:
            PbxUnavailable: the connection was lost.
        """
        src = next(self._sources)
        answer = await self._ask(src, protocol.presence_request(src, "calendar-check", "0" * 32, "", ""))
        return None if answer is None else answer.error or ""

    async def _send_presence(self, src: str, assignment: Assignment) -> None:
        request = protocol.presence_request(
            src, assignment.sip, assignment.guid, assignment.activity, assignment.note
        )
        try:
            async with asyncio.timeout(self._patience):
                await self._connection.send(request)
        except WebSocketException:
            self._finish(_CLOSED)
        except TimeoutError:
            # The PBX has stopped reading.
            self._finish(str(self._silence()))

    async def _hear_of_presences(self, deadline: float) -> None:
        """Wait until presences are answered for, or the session ends, or it is ``deadline``."""
        self._presences_heard.clear()
        if self._presence_answers or self._end:
            return
        try:
            async with asyncio.timeout_at(deadline):
                await self._presences_heard.wait()
        except TimeoutError:
            return

    def _judge(self, answer: Answer | None) -> PbxError | None:
        """What an answer to SetPresence, or its absence, means; None where the presence is set."""
        if answer is None:
            if self._presence_unanswered and not self._presence_answered:
                refusal = _not_granted("PbxApi", None)
                self._finish(str(refusal))
                return refusal
            self._presence_unanswered = True
            return PresenceRefused(
                None,
                "The PBX did not answer when the presence was set. If nobody gets a presence, "
                "tick PbxApi at the App object on the PBX.",
            )
        self._presence_answered = True
        if not answer.error:
            return None
        code = answer.body.get("error")
        return PresenceRefused(code if isinstance(code, int) else None, f"The PBX answered {answer.error}.")

    async def _ask(self, key: str, request: str) -> Answer | None:
        """Send a request and wait for the answer that ``key`` (its ``src``, or its type) names.

        Returns None where none came in time.

        Raises:
            PbxUnavailable: the session has ended.
        """
        if self._end:
            raise PbxUnavailable(self._end)
        waiting: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
        self._waiting[key] = waiting
        try:
            async with asyncio.timeout(self._patience):
                await self._connection.send(request)
                answer = await waiting
        except TimeoutError:
            return None
        except WebSocketException as error:
            raise PbxUnavailable(_CLOSED) from error
        finally:
            del self._waiting[key]
        if answer is None:
            raise PbxUnavailable(self._end)
        return answer

    def _silence(self) -> PbxUnavailable:
        return PbxUnavailable(f"The PBX did not answer within {self._patience:g} s.")

    async def _read(self) -> None:
        """Hand every message to whoever waits for it, until the session ends."""
        try:
            async for text in self._connection:
                self._dispatch(protocol.read_answer(text))
        except PbxUnavailable as error:
            self._finish(str(error))
        except WebSocketException:
            pass
        finally:
            self._finish(_CLOSED)

    def _finish(self, reason: str) -> None:
        self._end = self._end or reason
        self._presences_heard.set()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_result(None)

    def _dispatch(self, answer: Answer) -> None:
        if answer.type in ("ReplicateAdd", "ReplicateUpdate", "ReplicateDel"):
            row = protocol.read_row(answer)
            if row is not None:
                self._pushed.append(row)
            return
        if answer.type == "MonitorConfigInfo":
            key = _IDENTITY
        elif answer.error or (answer.type.endswith("Result") and answer.type != "MonitorConfigResult"):
            key = answer.src or answer.type
        else:
            return
        waiting = self._waiting.get(key)
        if waiting is None:
            self._presence_answers.append(answer)
            self._presences_heard.set()
        elif not waiting.done():
            waiting.set_result(answer)


@asynccontextmanager
async def open_session(link: PbxLink, *, patience: float = ANSWER_TIMEOUT) -> AsyncIterator[PbxSession]:
    """Connect, check the certificate, sign in. No answer is waited for longer than ``patience`` seconds.

    Raises:
        PbxLoginRefused: the app's name or password is wrong.
        WrongPbx: another PBX answered than ``link.name``.
        PbxUnavailable: no way to the PBX, or its certificate is not trusted.
    """
    try:
        connection = await connect(
            link.url,
            ssl=_trust(link.certificate),
            compression=None,
            open_timeout=patience,
            close_timeout=_FAREWELL / 2,
            proxy=None,
            logger=_wire,
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
    except (OSError, WebSocketException) as error:
        raise PbxUnavailable(
            "pbx.address: no connection to the PBX. Check that the PBX is running, and its address."
        ) from error
    async with PbxSession(connection, patience) as session:
        await session.sign_in(link.app, link.password)
        session.identity = await session.identify()
        if session.identity is not None and session.identity.name != link.name:
            raise WrongPbx(link.name, session.identity.name)
        yield session


def _trust(certificate: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if certificate:
        context.load_verify_locations(cadata=certificate)
        # A PBX's own certificate often lacks the extensions that RFC 5280 asks for and Python insists on.
        # Chain, name and validity are still verified.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def _login_refused(app: str, reason: str) -> PbxLoginRefused:
    return PbxLoginRefused(
        f"pbx.password: the PBX refused the app {app!r} ({reason}). "
        "Compare name and password with the App object on the PBX."
    )


def _not_granted(api: str, reason: str | None) -> PbxLoginRefused:
    return PbxLoginRefused(
        f"The PBX does not let this app use the API {api} ({reason or 'it does not answer'}). "
        "Tick it at the App object on the PBX."
    )
