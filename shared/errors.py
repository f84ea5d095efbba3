"""Everything that can go wrong, in one tree::

    CalendarError
    ├── SettingsError             a setting is missing or wrong; names the field and the remedy
    ├── InvalidSettings           several of them, found together
    │   └── OutdatedSettings      what an earlier version stored, and this one refuses
    ├── StateConflict             somebody else changed the record meanwhile: read it again
    ├── ExchangeError             Exchange, or the way to it; carries Exchange's own code
    │   ├── MailboxError          this mailbox only; the others go on
    │   ├── RequestRefused        our request was wrong; repeating it is useless
    │   └── ExchangeUnavailable   the whole system; nobody calls before ``retry_after``
    │       ├── ExchangeBusy      it asked for a pause
    │       ├── SignInRefused     the account or its password or secret
    │       └── EwsClosed         Exchange Online does not let this application use EWS
    └── PbxError                  the PBX, or the way to it
        ├── PresenceRefused       this user only; the others go on
        └── PbxUnavailable        the whole PBX
            ├── PbxLoginRefused   app name, password or rights
            └── WrongPbx          another PBX answered than the configured one

``retry_after`` says when a repeat makes sense: a time to wait, or None where it does not before something
is changed or everything is read again. The text of an error is one sentence for the administrator and
holds no subject, no address of a user and no secret.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta


class CalendarError(Exception):
    """The root of the tree."""

    retry_after: timedelta | None = None


class SettingsError(CalendarError):
    """A setting is missing or wrong.

    ``field`` is the dotted name (``exchange.user``), ``fault`` what is wrong, ``remedy`` what to do.
    """

    def __init__(self, field: str, fault: str, remedy: str) -> None:
        super().__init__(f"{field}: {fault}. {remedy}")
        self.field = field
        self.fault = fault
        self.remedy = remedy


class InvalidSettings(CalendarError):
    """Every fault of an input at once, in ``errors``."""

    def __init__(self, errors: Iterable[SettingsError]) -> None:
        self.errors = tuple(errors)
        super().__init__(" ".join(str(error) for error in self.errors))


class OutdatedSettings(InvalidSettings):
    """What an earlier version stored is not acceptable to this one."""


class StateConflict(CalendarError):
    """The record was changed, added or removed since it was read."""


class ExchangeError(CalendarError):
    """Exchange, or the way to it. ``code`` is its ResponseCode, or ``HTTP 500``, or a word of ours."""

    def __init__(self, code: str, text: str, *, retry_after: timedelta | None = None) -> None:
        super().__init__(text)
        self.code = code
        self.retry_after = retry_after


class MailboxError(ExchangeError):
    """Only this mailbox failed."""


class RequestRefused(ExchangeError):
    """Our request was wrong: a fault of this software."""


class ExchangeUnavailable(ExchangeError):
    """Nobody's mailbox can be read at present."""


class ExchangeBusy(ExchangeUnavailable):
    """Exchange asked for a pause of ``retry_after``."""


class SignInRefused(ExchangeUnavailable):
    """The account was refused. Repeats are rare, because they may lock it."""


class EwsClosed(ExchangeUnavailable):
    """Exchange Online does not let this application use EWS."""


class PbxError(CalendarError):
    """The PBX, or the way to it."""


class PresenceRefused(PbxError):
    """The PBX refused one user's presence, or did not answer. ``code`` is its unpublished number, if any."""

    retry_after = timedelta(minutes=1)

    def __init__(self, code: int | None, text: str) -> None:
        super().__init__(text)
        self.code = code


class PbxUnavailable(PbxError):
    """The PBX can't be reached or doesn't answer."""

    retry_after = timedelta(seconds=5)


class PbxLoginRefused(PbxUnavailable):
    """The PBX refused the app's name, password or one of its APIs."""

    retry_after = timedelta(seconds=30)


class WrongPbx(PbxUnavailable):
    """Another PBX answered than the configured one."""

    retry_after = timedelta(seconds=30)

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(
            f"pbx.name: the PBX that answered is {found!r}, configured is {expected!r}. "
            "Correct the PBX name or the address."
        )
        self.expected = expected
        self.found = found
