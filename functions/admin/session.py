"""Who is signed in: a cookie that only this service can write and read.

The cookie is encrypted and signed (Fernet), so nothing about sessions is stored. It ends after
`LONGEST`, or when nobody did anything for `IDLE`.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

LONGEST = timedelta(hours=8)
IDLE = timedelta(hours=1)
REFRESH = timedelta(minutes=5)
"""How old the cookie's last sign of life may get before it is written anew."""


@dataclass(frozen=True, slots=True)
class Administrator:
    """Who acts: ``id`` in Entra ID, ``name`` for people; ``session`` is empty for scripts."""

    id: str
    name: str
    session: str = ""


LOCAL = Administrator("local", "local administrator", "local")
"""Whoever sits at this machine, where nobody has to sign in."""


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in browser; instants are seconds since 1970."""

    id: str
    user: str
    name: str
    began: float
    seen: float

    @property
    def administrator(self) -> Administrator:
        return Administrator(self.user, self.name, self.id)


class Sessions:
    """Begins, seals and opens sessions. ``keys`` are Fernet keys, the newest first."""

    def __init__(self, keys: Iterable[str]) -> None:
        keys = tuple(keys)
        self._fernet = MultiFernet([Fernet(key) for key in keys])
        self._csrf = [hmac.digest(key.encode(), b"csrf", "sha256") for key in keys]

    def begin(self, who: Administrator, now: datetime) -> Session:
        """A new session."""
        at = now.timestamp()
        return Session(secrets.token_urlsafe(18), who.id, who.name, at, at)

    def seal_session(self, session: Session) -> str:
        """The cookie's value."""
        return self.seal("session", asdict(session), session.seen)

    def open_session(self, cookie: str, now: datetime) -> Session | None:
        """The session of a cookie, or None where it is forged, damaged or over."""
        values = self.open("session", cookie, now)
        if values is None:
            return None
        try:
            session = Session(**values)
        except TypeError:  # of a former version
            return None
        at = now.timestamp()
        over = session.began + LONGEST.total_seconds() <= at or session.seen + IDLE.total_seconds() <= at
        return None if over else session

    def renew(self, session: Session, now: datetime) -> Session | None:
        """The session with a new sign of life, or None where that is not yet needed."""
        at = now.timestamp()
        return replace(session, seen=at) if at - session.seen >= REFRESH.total_seconds() else None

    def csrf_token(self, session: str) -> str:
        """What a form of this session has to bring along."""
        return hmac.digest(self._csrf[0], session.encode(), "sha256").hex()

    def is_csrf_token(self, session: str, token: str) -> bool:
        """Whether a form was made for this session, compared in constant time."""
        mine = [hmac.digest(key, session.encode(), "sha256").hex() for key in self._csrf]
        given = token.encode(errors="surrogateescape")
        return any(hmac.compare_digest(each.encode(), given) for each in mine)

    def seal(self, kind: str, values: dict[str, Any], at: float) -> str:
        """Values as text that only `open` with the same ``kind`` reads."""
        token = self._fernet.encrypt_at_time(json.dumps([kind, values]).encode(), int(at))
        # The platform percent-encodes what else there is in a cookie.
        return token.decode().rstrip("=")

    def open(self, kind: str, text: str, now: datetime, life: timedelta = LONGEST) -> dict[str, Any] | None:
        """What was sealed less than ``life`` ago, or None."""
        try:
            token = text.encode("ascii") + b"=" * (-len(text) % 4)
            found, values = json.loads(self._fernet.decrypt(token))
            sealed = datetime.fromtimestamp(self._fernet.extract_timestamp(token), UTC)
        except (InvalidToken, UnicodeEncodeError):
            return None
        return values if found == kind and now - sealed < life else None
