"""Test connection, the steps of the PBX: login, which PBX it is, the APIs it grants, and one user."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing
from dataclasses import dataclass, field
from typing import cast

from shared.errors import PbxLoginRefused, WrongPbx
from shared.model import User
from shared.pbx.protocol import TableRow
from shared.pbx.session import PbxSession
from shared.settings import PbxSettings
from shared.sync.checking import Finding, Planned, Progress, StepFailed, complain_of

LOGIN = "pbx.login"
NAME = "pbx.name"
APIS = "pbx.apis"
USER = "pbx.user"

PLAN = (
    Planned(LOGIN, "Sign in to the PBX", (), "Check that the PBX is running, and its address."),
    Planned(NAME, "Name of the PBX", (LOGIN,), "Correct the PBX name or the address."),
    Planned(APIS, "Rights on the PBX", (NAME,), "Tick them at the App object on the PBX."),
    Planned(USER, "Read a user", (APIS,), "Wait, and test again."),
)

_REFUSAL = re.compile(r"right|grant|permi|access|allow|denied|forbid", re.IGNORECASE)
"""What a PBX may say of an API that is not granted; the numbers of its errors are not published."""


@dataclass(slots=True)
class PbxPart:
    """The steps of the PBX, in one session. ``open_session`` raises PbxUnavailable."""

    settings: PbxSettings
    open_session: Callable[[PbxSettings], AbstractAsyncContextManager[PbxSession]]
    _wrong: WrongPbx | None = field(default=None, init=False)
    _session: PbxSession | None = field(default=None, init=False)
    _users: PbxLoginRefused | None = field(default=None, init=False)
    _first: User | None = field(default=None, init=False)

    async def run(self, progress: Progress) -> None:
        """Take the steps, one after the other."""
        async with AsyncExitStack() as stack:
            await progress.take(LOGIN, lambda: self._sign_in(stack))
            await progress.take(NAME, self._identify)
            await progress.take(APIS, self._try_apis)
            await progress.take(USER, self._read_user)

    async def _sign_in(self, stack: AsyncExitStack) -> Finding:
        complain_of(self.settings.missing())
        try:
            self._session = await stack.enter_async_context(self.open_session(self.settings))
        except WrongPbx as error:
            # Which PBX it is, it tells only those whom it has let in.
            self._wrong = error
        return Finding(f"The PBX accepts the app ‘{self.settings.app}’.")

    async def _identify(self) -> Finding:
        if self._wrong is not None:
            raise self._wrong
        identity = self._opened.identity
        if identity is None:
            return Finding(
                f"Not told: whether it is ‘{self.settings.name}’ can't be verified.",
                "Tick Admin at the App object on the PBX.",
            )
        return Finding(f"‘{identity.name}’, domain {identity.domain or 'not set'}.")

    async def _try_apis(self) -> Finding:
        lacking = []
        details = []
        if self._opened.identity is None:
            details.append("Admin: not granted")
        else:
            details.append("Admin: granted")
        try:
            self._first = await self._find_person()
            details.append("TableUsers: granted")
        except PbxLoginRefused:
            lacking.append("TableUsers")
            details.append("TableUsers: not granted")
        answer = await self._opened.answer_for_nobody()
        if answer is None or _REFUSAL.search(answer):
            lacking.append("PbxApi")
            details.append(f"PbxApi: not granted ({answer or 'no answer'})")
        else:
            details.append("PbxApi: answers")
        if lacking:
            raise StepFailed(f"Not granted: {', '.join(lacking)}.", details=details)
        remedy = "" if self._opened.identity else "Tick Admin at the App object on the PBX."
        return Finding("All that are needed are granted.", remedy, tuple(details))

    async def _find_person(self) -> User | None:
        async with aclosing(cast(AsyncGenerator[TableRow], self._opened.users())) as rows:
            async for row in rows:
                if row.user is not None:
                    return row.user
        return None

    async def _read_user(self) -> Finding:
        if self._first is None:
            return Finding("The PBX has no user.", "Create users, or check that this is the master PBX.")
        emails = len(self._first.emails)
        return Finding(
            f"‘{self._first.sip}’, with {emails or 'no'} e-mail address{'' if emails == 1 else 'es'}."
        )

    @property
    def _opened(self) -> PbxSession:
        assert self._session is not None
        return self._session
