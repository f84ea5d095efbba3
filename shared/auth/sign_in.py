"""Somebody's sign-in on behalf of this service, and where it is kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

MARGIN = timedelta(minutes=5)
"""A token is replaced that long before its end."""


@dataclass(frozen=True, slots=True)
class Access:
    """An access token and its end."""

    token: str = field(repr=False)
    ends: datetime

    def serves(self, now: datetime, refused: str) -> bool:
        """Whether it can still be used, and has not been refused."""
        return self.token != refused and now < self.ends - MARGIN


@dataclass(frozen=True, slots=True)
class SignIn:
    """Who signed in and when (UTC), when the tokens were last renewed, and why they are no longer.

    ``access`` is the access token; ``cache`` holds what MSAL needs to renew it. ``refused`` is
    the code of the refusal that ended the sign-in, empty while it lasts.
    """

    account: str
    signed_in_at: datetime
    renewed_at: datetime
    access: Access | None = None
    cache: str = field(default="", repr=False)
    refused: str = ""

    @property
    def valid(self) -> bool:
        """Whether nobody has to sign in again, as far as is known."""
        return not self.refused


@dataclass(frozen=True, slots=True)
class Held:
    """The stored sign-in as it was read. Until ``claimed_until`` one instance renews its tokens."""

    sign_in: SignIn
    etag: str
    claimed_until: datetime | None = None


class SignInStore(Protocol):
    """Keeps one sign-in and the flows that lead to one, encrypted, for all instances."""

    async def load(self) -> Held | None:
        """The sign-in. Raises SettingsError where no key decrypts it."""
        ...

    async def put(self, sign_in: SignIn) -> None:
        """Store a new sign-in, whatever is there."""
        ...

    async def replace(self, held: Held, sign_in: SignIn, claimed_until: datetime | None = None) -> Held:
        """Store the sign-in in place of the one that was read. Raises StateConflict."""
        ...

    async def delete(self) -> None:
        """Forget the sign-in."""
        ...

    async def keep_flow(self, state: str, flow: str, until: datetime, now: datetime) -> None:
        """Keep what a sign-in that has begun needs to be completed; forget those whose time is over."""
        ...

    async def take_flow(self, state: str, now: datetime) -> str | None:
        """What was kept, to one caller only, or None where there is nothing or its time is over."""
        ...
