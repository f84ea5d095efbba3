"""The search for a mailbox's Exchange, as steps without I/O: which host to ask next, what an answer leads to.

Order: https://autodiscover.DOMAIN, https://DOMAIN, then both over http, where the only use of an answer is
its redirection to https: nothing is told there. Credentials go to https only. A refused account ends the
search, since every further host would be given the same password.

Sources: MS-OXDISCO, MS-OXDSCLI; Microsoft, *Autodiscover for Exchange*.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

from shared.errors import ExchangeError, ExchangeUnavailable
from shared.ews.autodiscover import Discovery, parse_discovery, pox_request
from shared.ews.failures import failure, http_failure

MAX_REDIRECTIONS = 10

_DOMAIN = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)+")
_PATH = "/autodiscover/autodiscover"
_LONGEST = 300
_TOO_OFTEN = f"not followed: {MAX_REDIRECTIONS} redirections are enough"


class Kind(StrEnum):
    """What is asked: the address in JSON, the settings in POX, or merely where to go instead."""

    JSON = "json"
    POX = "pox"
    REDIRECTION = "redirection"


@dataclass(frozen=True, slots=True)
class Ask:
    """One request, no redirection followed. POX is a POST with credentials, the others are GETs without.

    ``by_http`` says that the way here began with a redirection over http, which nothing protected.
    """

    kind: Kind
    url: str
    address: str
    by_http: bool = field(default=False, compare=False)

    @property
    def body(self) -> bytes:
        """What a POST carries."""
        return pox_request(self.address)


@dataclass(frozen=True, slots=True)
class Step:
    """One request that was made, in a word or two what came back, and what followed from it."""

    kind: Kind
    url: str
    outcome: str
    then: str


@dataclass(frozen=True, slots=True)
class Found:
    """The address of EWS.

    ``other`` says that it is not of the kind asked for, internal or external; ``by_http`` that the way to it
    began with a redirection that nothing protected.
    """

    url: str
    other: bool
    server_version: str | None
    by_http: bool = False


def _is_https(url: str | None) -> bool:
    if not url or not url.isprintable():
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme == "https" and bool(parts.hostname) and not parts.username


def choose(discovery: Discovery, *, internal: bool) -> Found | None:
    """The address of the kind asked for, else the other one; none where neither is https."""
    kinds = [discovery.external, discovery.internal]
    if internal:
        kinds.reverse()
    for number, url in enumerate(kinds):
        if url and _is_https(url):
            return Found(url, number > 0, discovery.server_version)
    return None


class Search:
    """Ask what ``next`` says, tell what came back with ``answer`` or ``fail``, until ``next`` is None.

    Then ``found`` or ``error`` is set; ``steps`` tells what was tried, what came back and why it went on.
    Raises MailboxError at once for an address whose domain can't be one.
    """

    def __init__(self, address: str, *, internal: bool = False) -> None:
        self.steps: list[Step] = []
        self.found: Found | None = None
        self._refused: ExchangeError | None = None
        self._internal = internal
        self._redirections = 0
        self._waiting: deque[Ask] = deque()
        self._asked: set[Ask] = set()
        self._now: Ask | None = None
        if not self._begin(address):
            raise failure("ErrorInvalidSmtpAddress")

    @property
    def error(self) -> ExchangeError | None:
        """Why nothing was found."""
        if self.found:
            return None
        return self._refused or ExchangeUnavailable(
            "NotDiscovered",
            "Autodiscover found no Exchange for this address. Enter the address of "
            "EWS, or publish Autodiscover.",
            retry_after=timedelta(minutes=15),
        )

    def next(self) -> Ask | None:
        """The request to make now; None at the end."""
        while self._waiting:
            self._now = self._waiting.popleft()
            if self._now not in self._asked:
                self._asked.add(self._now)
                return self._now
        return None

    def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """What came back to the last request. Header names are in lower case."""
        ask = self._asking()
        location = headers.get("location", "")
        if status in (301, 302, 303, 307, 308) and location:
            self._redirect(ask, f"HTTP {status} to {_shown(location)}", location)
        elif ask.kind is Kind.REDIRECTION:
            self._note(ask, f"HTTP {status}", "passed over: http only counts as a redirection to https")
        elif status != 200:
            self.fail(http_failure(status, headers, b"", ask.url))
        else:
            try:
                discovery = parse_discovery(body)
            except ExchangeError as error:
                self.fail(error)
            else:
                self._read(ask, discovery)

    def fail(self, error: ExchangeError) -> None:
        """The last request got no answer, or one that is of no use."""
        ask = self._asking()
        if error.code == "HTTP 401" and ask.kind is Kind.POX:
            self._note(ask, error.code, "ended: no further host is given an account that was refused")
            self._refused = error
            self._waiting.clear()
        else:
            self._note(ask, error.code, "passed over")

    def _asking(self) -> Ask:
        if self._now is None:
            raise RuntimeError("nothing was asked")
        return self._now

    def _note(self, ask: Ask, outcome: str, then: str) -> None:
        self.steps.append(Step(ask.kind, ask.url, outcome, then))

    def _begin(self, address: str, *, by_http: bool = False) -> bool:
        """Plan the search for an address in place of what was planned; False where it is none."""
        domain = address.rpartition("@")[2]
        if not _DOMAIN.fullmatch(domain):
            return False
        hosts = (f"autodiscover.{domain}", domain)
        self._waiting.clear()
        for host in hosts:
            path = f"{_PATH}.json/v1.0/{quote(address, safe='@')}?Protocol=Ews"
            json = Ask(Kind.JSON, f"https://{host}{path}", address, by_http)
            pox = Ask(Kind.POX, f"https://{host}{_PATH}.xml", address, by_http)
            self._waiting += (pox, json) if self._internal else (json, pox)  # JSON knows no internal address
        self._waiting += (Ask(Kind.REDIRECTION, f"http://{host}{_PATH}.xml", address) for host in hosts)
        return True

    def _redirect(self, ask: Ask, outcome: str, url: str) -> None:
        follow = Ask(
            Kind.JSON if ask.kind is Kind.JSON else Kind.POX,
            _absolute(ask.url, url),
            ask.address,
            ask.by_http or ask.kind is Kind.REDIRECTION,
        )
        if not _is_https(follow.url):
            then = "not followed: it is no https address"
        elif follow in self._asked:
            then = "not followed: it was asked before"
        elif self._redirections == MAX_REDIRECTIONS:
            then = _TOO_OFTEN
        else:
            self._redirections += 1
            self._waiting.appendleft(follow)
            then = "followed"
        self._note(ask, outcome, then)

    def _read(self, ask: Ask, discovery: Discovery) -> None:
        target = discovery.redirect
        if discovery.error is not None:
            self._note(ask, f"error {_shown(discovery.error)}", "passed over")
        elif target is None:
            self._take(ask, discovery)
        elif "://" in target:
            self._redirect(ask, f"redirection to {_shown(target)}", target)
        else:
            then = _TOO_OFTEN
            if self._redirections < MAX_REDIRECTIONS:
                self._redirections += 1
                begun = self._begin(target, by_http=ask.by_http)
                then = "begun again with it" if begun else "not followed: it is no address"
            self._note(ask, f"redirection to {_shown(target)}", then)

    def _take(self, ask: Ask, discovery: Discovery) -> None:
        found = choose(discovery, internal=self._internal)
        if found is None:
            self._note(ask, "no https address of EWS", "passed over")
            return
        self.found = replace(found, by_http=ask.by_http)
        self._waiting.clear()
        kinds = ("external", "internal") if self._internal else ("internal", "external")
        then = f"taken, though {kinds[0]}: no {kinds[1]} address is offered" if found.other else "taken"
        self._note(ask, f"EWS at {_shown(found.url)}", then)


def _absolute(base: str, url: str) -> str:
    """Where a redirection leads, written so that one place has one spelling; empty for what is no URL."""
    try:
        parts = urlsplit(urljoin(base, url))
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return ""
    if not host or parts.username is not None:
        return ""
    host = f"[{host}]" if ":" in host else host
    host += f":{port}" if port not in (None, 443) else ""
    return urlunsplit((parts.scheme, host, parts.path, parts.query, ""))


def _shown(url: str) -> str:
    """What somebody else wrote, as a line of a trace may hold it."""
    shortened = url if len(url) <= _LONGEST else f"{url[:_LONGEST]}…"
    return shortened if shortened.isprintable() else ascii(shortened)
