"""What ResolveNames answers: the directory objects that know an address.

Source: MS-OXWSRSLNM; *ResolveNames operation* in Microsoft's EWS reference.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from shared.ews.envelope import (
    MESSAGES,
    TYPES,
    Element,
    body_of,
    full_text,
    parse_envelope,
    response_messages,
    text_at,
)
from shared.ews.failures import failure, raise_fault

NO_RESULTS = "ErrorNameResolutionNoResults"


@dataclass(frozen=True, slots=True)
class Match:
    """One directory object: its primary SMTP address, its other ones, and Exchange's MailboxType."""

    primary: str
    aliases: tuple[str, ...]
    type: str


def _match(resolution: Element) -> Match:
    mailbox = resolution.find(f"{TYPES}Mailbox")
    routing = text_at(mailbox, f"{TYPES}RoutingType", "SMTP").upper()
    primary = text_at(mailbox, f"{TYPES}EmailAddress") if routing == "SMTP" else ""
    aliases: list[str] = []
    for entry in resolution.iterfind(f"{TYPES}Contact/{TYPES}EmailAddresses/{TYPES}Entry"):
        kind, _, address = full_text(entry).strip().partition(":")
        if kind == "SMTP":  # capitals mark the primary one
            primary = address
        elif kind.lower() == "smtp":
            aliases.append(address)
    return Match(primary, tuple(aliases), text_at(mailbox, f"{TYPES}MailboxType"))


def parse_matches(body: bytes) -> tuple[Match, ...]:
    """The matches of a ResolveNames answer, none where Exchange knows no such address.

    Raises the error that Exchange reports, or one for an unreadable body.
    """
    envelope = parse_envelope(body)
    raise_fault(envelope)
    matches: list[Match] = []
    for answer in response_messages(body_of(envelope, "ResolveNamesResponse")):
        if answer.error is not None and answer.error.code != NO_RESULTS:
            raise failure(answer.error)
        found = answer.element.iterfind(f"{MESSAGES}ResolutionSet/{TYPES}Resolution")
        matches.extend(_match(resolution) for resolution in found)
    return tuple(matches)


def choose(matches: Iterable[Match], address: str) -> Match | None:
    """The mailbox that has exactly this address, as its primary one or else as an alias; None if none has.

    Exchange also matches by prefix, and finds contacts and groups, which have no calendar to read.
    """
    wanted = address.strip().casefold()
    mailboxes = [match for match in matches if match.type == "Mailbox" and match.primary]
    by_primary = [match for match in mailboxes if match.primary.casefold() == wanted]
    by_alias = [match for match in mailboxes if wanted in (alias.casefold() for alias in match.aliases)]
    return next(iter(by_primary + by_alias), None)
