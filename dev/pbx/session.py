"""One app's session with the PBX: messages in, messages out, no I/O.

From innovaphone's SDK documentation, 13r1 to 15r1: AppWebsocket, PbxApi, PbxTableUsers, Replication,
PbxAdminApi. It is strict: whatever the documentation does not allow is answered with an error.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable
from typing import Any, Protocol

from dev.pbx.digest import digest_login, is_same
from dev.pbx.presences import ACTIVITIES
from dev.pbx.replication import Replication
from dev.pbx.switchboard import APIS, Switchboard
from dev.pbx.users import Row

NOT_LOGGED_IN, UNKNOWN, NOT_GRANTED, BAD, NO_USER, REFUSED, LOGIN = 1, 2, 3, 4, 5, 6, 7
MALFORMED_FRAME, POLICY = 1007, 1008
LOGIN_TEXTS = ("app", "domain", "sip", "guid", "dn", "digest")

type Message = dict[str, Any]


class Wire(Protocol):
    """The connection that carries a session."""

    def send(
        self, message: Message, *, any_order: bool = False, sent: Callable[[], None] | None = None
    ) -> None:
        """Send one message; ``sent`` is called when it has gone out."""

    def close(self, code: int, reason: str) -> None:
        """Close the connection after what was sent before."""


class RequestError(Exception):
    """A request that is answered with an error."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class Session:
    """What the PBX knows of one connection."""

    def __init__(self, pbx: Switchboard, wire: Wire) -> None:
        self._pbx = pbx
        self._wire = wire
        self._challenge: str | None = None
        self._only_sip = ""
        self._replications: dict[str, Replication] = {}
        self._requests: dict[tuple[str, str], Callable[[Message], None]] = {
            ("PbxAdminApi", "MonitorConfig"): self._monitor_config,
            ("PbxApi", "SetPresence"): self._set_presence,
            ("PbxTableUsers", "ReplicateStart"): self._replicate_start,
            ("PbxTableUsers", "ReplicateNext"): self._replicate_next,
        }
        self.logged_in = False

    def receive(self, text: str) -> None:
        """Take one text frame and send what it is answered with."""
        self._pbx.statistics.messages += 1
        try:
            message = json.loads(text)
        except ValueError:
            message = None
        if not isinstance(message, dict) or not isinstance(message.get("mt"), str):
            self._pbx.statistics.errors += 1
            self._wire.close(MALFORMED_FRAME, "a JSON object with mt is expected")
            return
        try:
            self._take(message)
        except RequestError as error:
            self._count_error(message)
            self._answer(message, error=error.code, errorText=str(error))
            if error.code in (NOT_LOGGED_IN, LOGIN):
                self._wire.close(POLICY, str(error))

    def end(self) -> None:
        """The connection is gone."""
        if self.logged_in:
            self._pbx.statistics.close_session()
        if self._tell in self._pbx.users.listeners:
            self._pbx.users.listeners.remove(self._tell)

    def _count_error(self, message: Message) -> None:
        self._pbx.statistics.errors += 1
        if message["mt"] == "SetPresence":
            sip, guid = str(message.get("sip", "")), str(message.get("guid", ""))
            row = self._pbx.users.find(guid, sip)
            self._pbx.statistics.presences_refused[row.guid if row else guid or sip] += 1

    def _take(self, message: Message) -> None:
        match message["mt"]:
            case "AppChallenge":
                self._challenge = secrets.token_hex(8)
                self._answer(message, challenge=self._challenge)
                return
            case "AppLogin":
                self._log_in(message)
                return
        if not self.logged_in:
            raise RequestError(NOT_LOGGED_IN, "log in first")
        if message["mt"] == "KeepAlive":
            self._pbx.statistics.keep_alives += 1
            return
        api = message.get("api")
        if not isinstance(api, str) or api not in APIS:
            raise RequestError(UNKNOWN, f"unknown api {api!r}")
        if api not in self._pbx.apis:
            if self._pbx.ungranted == "silence":
                return
            raise RequestError(NOT_GRANTED, f"the app has no right to use {api}")
        request = self._requests.get((api, message["mt"]))
        if request is None:
            raise RequestError(UNKNOWN, f"unknown mt {message['mt']!r}")
        if not isinstance(message.get("src"), str) or not message["src"]:
            raise RequestError(BAD, "src is missing")
        request(message)

    def _answer(self, message: Message, **more: object) -> None:
        """Send the answer to ``message``, with its api and src."""
        self._wire.send(self._result(message, more))

    def _result(self, message: Message, more: dict[str, object]) -> Message:
        echoed: Message = {name: message[name] for name in ("api", "src") if name in message}
        return {"mt": f"{message['mt']}Result", **echoed, **more}

    def _log_in(self, message: Message) -> None:
        challenge = self._challenge
        right = (
            challenge is not None
            and not self.logged_in
            and all(isinstance(message.get(name, ""), str) for name in LOGIN_TEXTS)
            and message.get("app") == self._pbx.app
            and not message.get("domain")
            and is_same(message.get("digest", ""), digest_login(message, challenge, self._pbx.password))
        )
        if not right:
            self._pbx.statistics.logins_refused += 1
            raise RequestError(LOGIN, "login refused")
        self.logged_in = True
        self._only_sip = message.get("sip", "")
        self._pbx.statistics.open_session()
        self._answer(message, ok=True)

    def _monitor_config(self, message: Message) -> None:
        self._answer(message)
        info = {"domain": self._pbx.domain, "pbx": self._pbx.name, "dns": f"pbx.{self._pbx.domain}"}
        echoed: Message = {"api": message["api"], "src": message["src"]}
        self._wire.send({"mt": "MonitorConfigInfo", **echoed, **info, "ip4": "127.0.0.1"})

    def _set_presence(self, message: Message) -> None:
        sip, guid, contact = (_text(message, name) for name in ("sip", "guid", "contact"))
        activity, note = _text(message, "activity"), _text(message, "note")
        row = self._pbx.users.find(guid, sip) if guid or sip else None
        if row is None or not self._sees(row):
            raise RequestError(NO_USER, "no such user")
        if not re.fullmatch(r"[a-z][a-z-]*:.*", contact):
            raise RequestError(BAD, "contact: a scheme and a colon are expected")
        if activity not in ACTIVITIES:
            raise RequestError(BAD, f"activity: {activity!r} is unknown")
        if row.guid in self._pbx.faults.ignore:
            return
        if row.guid in self._pbx.faults.refuse:
            raise RequestError(REFUSED, "presence refused")
        self._pbx.statistics.presences_set[row.guid] += 1
        if not self._pbx.presences.set(row.guid, contact, activity, note):
            self._pbx.statistics.duplicates[row.guid] += 1
        self._wire.send(self._result(message, {}), any_order=True)

    def _replicate_start(self, message: Message) -> None:
        try:
            replication = Replication.start(message, self._pbx.users, self._sees)
        except ValueError as error:
            raise RequestError(BAD, str(error)) from error
        self._replications[message["src"]] = replication
        if self._tell not in self._pbx.users.listeners:
            self._pbx.users.listeners.append(self._tell)
        self._pbx.statistics.replications += 1
        number = {"guid": self._pbx.users.guid, "usn": self._pbx.users.usn} if self._pbx.numbered else {}
        self._answer(message, **number, columns={name: {} for name in replication.columns})

    def _replicate_next(self, message: Message) -> None:
        replication = self._replications.get(message["src"])
        if replication is None:
            raise RequestError(BAD, "ReplicateNext without ReplicateStart")
        if replication.owes_answer:
            raise RequestError(BAD, "ReplicateNext before the answer to the last one")
        replication.owes_answer = True
        row = replication.next_row()
        more: dict[str, object] = {}
        if row is not None:
            self._pbx.statistics.rows += 1
            more = {"usn": row.usn} if self._pbx.numbered else {}
            more["columns"] = row.select(replication.columns)
        self._wire.send(self._result(message, more), sent=replication.answered)

    def _tell(self, before: Row | None, after: Row | None) -> None:
        """Push a change of the user table to every replication of this session."""
        for src, replication in self._replications.items():
            push = replication.describe_change(before, after)
            if push is not None:
                number = {"usn": self._pbx.users.usn} if self._pbx.numbered else {}
                self._wire.send({"api": "PbxTableUsers", "src": src, **number, **push})

    def _sees(self, row: Row) -> bool:
        return not self._only_sip or row.sip == self._only_sip


def _text(message: Message, name: str) -> str:
    """Give a text of the message, empty if absent. Raises RequestError for anything else."""
    value = message.get(name, "")
    if not isinstance(value, str):
        raise RequestError(BAD, f"{name}: a text is expected")
    if re.search("[\ud800-\udfff]", value):
        raise RequestError(BAD, f"{name}: not Unicode")
    return value
