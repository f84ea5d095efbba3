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
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from urllib.parse import quote, urljoin, urlsplit

from shared.errors import ExchangeError, ExchangeUnavailable
from shared.ews.autodiscover import Discovery, parse_discovery, pox_request
from shared.ews.failures import failure, http_failure

MAX_REDIRECTIONS = 10

_DOMAIN = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)+")
_PATH = "/autodiscover/autodiscover"


class Kind(StrEnum):
    """What is asked: the address in JSON, the settings in POX, or merely where to go instead."""

    JSON = "json"
    POX = "pox"
    REDIRECTION = "redirection"


@dataclass(frozen=True, slots=True)
class Ask:
    """One request, no redirection followed. POX is a POST with credentials, the others are GETs without."""

    kind: Kind
    url: str
    address: str

    @property
    def body(self) -> bytes:
        """What a POST carries."""
        return pox_request(self.address)


@dataclass(frozen=True, slots=True)
class Step:
    """One request that was made and, in a word or two, what came back."""

    url: str
    outcome: str


@dataclass(frozen=True, slots=True)
class Found:
    """The address of EWS. ``other`` says that it is not of the kind asked for, internal or external."""

    url: str
    other: bool
    server_version: str | None


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

    Then ``found`` or ``error`` is set; ``steps`` tells what was tried. Raises MailboxError at once for an
    address whose domain can't be one.
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
            self._redirect(ask, location)
        elif ask.kind is Kind.REDIRECTION:
            self._note(ask, f"HTTP {status}, no redirection")
        elif status != 200:
            self.fail(http_failure(status, headers, b"", ask.url))
        else:
            try:
                self._read(ask, parse_discovery(body))
            except ExchangeError as error:
                self.fail(error)

    def fail(self, error: ExchangeError) -> None:
        """The last request got no answer, or one that is of no use."""
        ask = self._asking()
        self._note(ask, error.code)
        if error.code == "HTTP 401" and ask.kind is Kind.POX:
            self._refused = error
            self._waiting.clear()

    def _asking(self) -> Ask:
        if self._now is None:
            raise RuntimeError("nothing was asked")
        return self._now

    def _note(self, ask: Ask, outcome: str) -> None:
        self.steps.append(Step(ask.url, outcome))

    def _begin(self, address: str) -> bool:
        """Plan the search for an address in place of what was planned; False where it is none."""
        domain = address.rpartition("@")[2]
        if not _DOMAIN.fullmatch(domain):
            return False
        hosts = (f"autodiscover.{domain}", domain)
        self._waiting.clear()
        for host in hosts:
            json = Ask(
                Kind.JSON, f"https://{host}{_PATH}.json/v1.0/{quote(address, safe='@')}?Protocol=Ews", address
            )
            pox = Ask(Kind.POX, f"https://{host}{_PATH}.xml", address)
            self._waiting += (pox, json) if self._internal else (json, pox)  # JSON knows no internal address
        self._waiting += (Ask(Kind.REDIRECTION, f"http://{host}{_PATH}.xml", address) for host in hosts)
        return True

    def _redirect(self, ask: Ask, url: str) -> None:
        try:
            url = urljoin(ask.url, url)
        except ValueError:
            url = ""
        follow = Ask(Kind.JSON if ask.kind is Kind.JSON else Kind.POX, url, ask.address)
        if not _is_https(url):
            self._note(ask, "redirected to no https address")
        elif follow in self._asked:
            self._note(ask, f"redirected to {url}, which was asked before")
        elif self._redirections == MAX_REDIRECTIONS:
            self._note(ask, "redirected once too often")
        else:
            self._redirections += 1
            self._note(ask, f"redirected to {url}")
            self._waiting.appendleft(follow)

    def _read(self, ask: Ask, discovery: Discovery) -> None:
        target = discovery.redirect
        if discovery.error is not None:
            self._note(ask, f"error {discovery.error}")
        elif target is None:
            self.found = choose(discovery, internal=self._internal)
            self._note(ask, "found" if self.found else "no https address")
            if self.found:
                self._waiting.clear()
        elif "://" in target:
            self._redirect(ask, target)
        elif self._redirections == MAX_REDIRECTIONS:
            self._note(ask, "redirected once too often")
        else:
            self._redirections += 1
            self._note(ask, "redirected to another address" if self._begin(target) else "redirected nowhere")
