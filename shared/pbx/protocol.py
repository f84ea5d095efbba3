"""The messages of the PBX's websocket API, without any I/O.

Source: innovaphone SDK documentation, *App Websocket*, *PbxApi*, *PbxTableUsers* and *PbxAdminApi*.
Requests are built as JSON text, answers are read into an `Answer`; matching the two by ``src`` is the
session's work.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.errors import PbxUnavailable
from shared.model import User

TABLE_USERS = "PbxTableUsers"
PBX = "PbxApi"
ADMIN = "PbxAdminApi"

CONTACT = "calendar:"
"""The contact whose presence calendar applications set; others are never touched."""

_PERSONS = ("", "executive")
"""Kinds of user objects that are people: ordinary ones, and those whom a secretary answers for."""

# guid first: a deletion may carry the first column only.
_COLUMNS = ("guid", "h323", "cn", "dn", "loc", "h323-email", "pseudo", "apps", "emails", "grps")
_GUID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Answer:
    """One message of the PBX. ``src`` is empty where it came unasked."""

    type: str
    src: str
    body: Mapping[str, Any]

    @property
    def error(self) -> str | None:
        """The PBX's own words for a failure, or None. Error numbers are not published."""
        if "error" not in self.body and "errorText" not in self.body:
            return None
        code = _clean(str(self.body.get("error", "")))
        return f"error {code}".rstrip() + f": {_string(self.body, 'errorText') or 'no text'}"


@dataclass(frozen=True, slots=True)
class Identity:
    """Which PBX answered: its *PBX name* and its system name, used as the domain."""

    name: str
    domain: str


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row of the users table. ``user`` is None where it was deleted or is no ordinary user."""

    guid: str
    user: User | None
    name_is_address: bool = False


def login_digest(app: str, password: str, challenge: str) -> str:
    """The answer to a challenge: SHA-256 over ``app:domain:sip:guid:dn:challenge:password``, in hex.

    The four fields in the middle stay empty: a ``sip`` would limit the session to that one user.
    """
    return hashlib.sha256(f"{app}:::::{challenge}:{password}".encode()).hexdigest()


def challenge_request() -> str:
    """Ask for the challenge that the login must answer."""
    return _text({"mt": "AppChallenge"})


def login_request(app: str, password: str, challenge: str) -> str:
    """Sign in as the App object ``app``."""
    digest = login_digest(app, password, challenge)
    return _text(
        {"mt": "AppLogin", "app": app, "domain": "", "sip": "", "guid": "", "dn": "", "digest": digest}
    )


def identity_request(src: str) -> str:
    """Ask which PBX this is. Needs the *Admin* API."""
    return _text({"api": ADMIN, "mt": "MonitorConfig", "src": src})


def replicate_start(src: str) -> str:
    """Begin a full replication of the users table. Needs the *TableUsers* API."""
    return _text(
        {
            "api": TABLE_USERS,
            "mt": "ReplicateStart",
            "src": src,
            "add": False,
            "del": False,
            "columns": {column: {} for column in _COLUMNS},
            "pseudo": list(_PERSONS),
        }
    )


def replicate_next(src: str) -> str:
    """Ask for the next row of the replication that ``src`` began."""
    return _text({"api": TABLE_USERS, "mt": "ReplicateNext", "src": src})


def presence_request(src: str, sip: str, guid: str, activity: str, note: str) -> str:
    """Set a user's calendar presence. ``activity`` is as the PBX writes it: empty is available."""
    return _text(
        {
            "api": PBX,
            "mt": "SetPresence",
            "src": src,
            "sip": sip,
            "guid": guid,
            "contact": CONTACT,
            "activity": activity,
            "note": note,
        }
    )


def read_answer(text: str | bytes) -> Answer:
    """Read one message of the PBX.

    Raises:
        PbxUnavailable: it is no JSON object with a message type.
    """
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PbxUnavailable("The PBX sent something that is not JSON.") from error
    if not isinstance(body, dict) or not isinstance(body.get("mt"), str):
        raise PbxUnavailable("The PBX sent a message without a type.")
    return Answer(body["mt"], _string(body, "src"), body)


def read_identity(answer: Answer) -> Identity:
    """The PBX's name and domain from a ``MonitorConfigInfo``."""
    return Identity(_string(answer.body, "pbx"), _string(answer.body, "domain"))


def read_row(answer: Answer) -> TableRow | None:
    """A row of the users table from an answer or a push, or None at the end of the table.

    Empty strings and false booleans are absent on the wire; ``emails`` may hold several addresses in one
    field, separated by semicolons.

    Raises:
        PbxUnavailable: the row is no object, or its guid is not 32 hex digits.
    """
    columns = answer.body.get("columns", {})
    if not isinstance(columns, dict):
        raise PbxUnavailable("The PBX sent a user without columns.")
    if not columns.get("guid"):
        return None
    guid = str(columns["guid"]).replace("-", "").lower()
    if not _GUID.fullmatch(guid):
        raise PbxUnavailable("The PBX sent a user whose guid is not 32 hex digits.")
    sip = _string(columns, "h323")
    if answer.type == "ReplicateDel" or not sip or columns.get("pseudo", "") not in _PERSONS:
        return TableRow(guid, None)
    addresses = [
        address.strip()
        for entry in _rows(columns, "emails")
        for address in _string(entry, "email").split(";")
        if address.strip()
    ]
    user = User(
        guid=guid,
        sip=sip,
        common_name=_string(columns, "cn"),
        display_name=_string(columns, "dn"),
        emails=tuple(dict.fromkeys(addresses)),
        location=_string(columns, "loc"),
        groups=tuple(name for entry in _rows(columns, "grps") if (name := _string(entry, "name"))),
        apps=tuple(app.strip() for app in _string(columns, "apps").split(",") if app.strip()),
    )
    return TableRow(guid, user, name_is_address=bool(columns.get("h323-email")))


def candidate_addresses(row: TableRow, domain: str) -> tuple[str, ...]:
    """The addresses under which Exchange may know a user, the likeliest first.

    The PBX's e-mail addresses in their order, then the user name: as it is where it is an address,
    else at the PBX's domain. Lower case, each once.
    """
    user = row.user
    if user is None:
        return ()
    addresses = list(user.emails)
    name = user.sip if "@" in user.sip or not domain else f"{user.sip}@{domain}"
    if row.name_is_address:
        addresses.insert(0, name)
    else:
        addresses.append(name)
    return tuple(dict.fromkeys(address.lower() for address in addresses if "@" in address))


def _text(message: Mapping[str, Any]) -> str:
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"))


def _rows(columns: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    value = columns.get(name)
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _string(values: Mapping[str, Any], name: str) -> str:
    value = values.get(name)
    return _clean(value) if isinstance(value, str) else ""


def _clean(text: str) -> str:
    # A name that was cut within a character comes as half of it, which nobody can store.
    return text.encode(errors="replace").decode()
