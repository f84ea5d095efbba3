"""What a change of the configuration means: which effects lead from the former to the present one. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from hashlib import sha256
from typing import Self

from shared.model import Agenda, Sensitivity, ShowAs
from shared.presence import PresenceRules
from shared.presence.mapping import find_activity
from shared.settings import Configuration, Section, SyncType, secret_fields

UNKNOWN = ""
"""A part of a fingerprint of which nobody knows what was applied: it differs from everything."""


class State(StrEnum):
    """Whether the service works with a configuration."""

    DISABLED = "disabled"
    INCOMPLETE = "incomplete"
    WORKING = "working"


class Effect(StrEnum):
    """What has to be done. Each may be done twice."""

    END_EXCHANGE_PAUSE = "end exchange pause"
    END_PBX_PAUSE = "end pbx pause"
    REPLICATE = "replicate"
    TELL_ANEW = "tell anew"
    """Another PBX: nobody knows what it shows."""
    RETIRE = "retire"
    """Presences are cleared; agendas, mailboxes and subscriptions forgotten."""
    FORGET_MAILBOXES = "forget mailboxes"
    """Another Exchange: mailboxes and subscriptions are forgotten."""
    END_SUBSCRIPTIONS = "end subscriptions"
    SUBSCRIBE = "subscribe"
    """Everybody is subscribed and read."""
    READ = "read"
    """Everybody is read."""
    RETRY = "retry"
    """Who failed, or had no mailbox, is tried again."""
    PRESENT = "present"
    """Presences are composed anew from the stored agendas, as far as these suffice."""
    RANK = "rank"
    """The stored ranks of dropped subjects are out of date."""


PER_USER = frozenset(Effect) - {Effect.END_EXCHANGE_PAUSE, Effect.END_PBX_PAUSE, Effect.REPLICATE}
"""The effects that concern the records of each user."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What of a configuration has effects, in parts; hashes but for ``state``, those of secrets keyed.

    ``pbx`` is which PBX, ``pbx_link`` the way to it; ``exchange`` is which Exchange, ``account`` the way to
    it. ``rules`` is all that decides about presences, ``words`` what ranks subjects.
    """

    state: str
    pbx: str
    pbx_link: str
    pbx_secrets: str
    scope: str
    exchange: str
    account: str
    exchange_secrets: str
    detection: str
    rules: str
    words: str

    @classmethod
    def of(cls, stored: Mapping[str, str]) -> Self:
        """A stored fingerprint: what another version did not store is unknown."""
        return cls(**{part.name: stored.get(part.name, UNKNOWN) for part in fields(cls)})


_NAMES = tuple(part.name for part in fields(Fingerprint))

_SCOPE = ("domain", "scope", "scope_app", "scope_groups")
_WITHOUT_EFFECT = (
    "sync_type",
    "secret_expires_on",
    "debug_until",
    "debug_subjects",
    "detection",
    "poll_minutes",
    "max_subscriptions",
)


def take_fingerprint(configuration: Configuration, sign: Callable[[str], str]) -> Fingerprint:
    """The fingerprint of a configuration; ``sign`` is the keyed hash for secrets."""
    pbx, exchange, rules = configuration.pbx, configuration.exchange, configuration.presence.rules
    if exchange.sync_type is SyncType.DISABLED:
        state = State.DISABLED
    else:
        state = State.INCOMPLETE if configuration.missing() else State.WORKING
    # Without an address it is found from the account's domain, so that another domain is another system.
    place = exchange.ews_url or [exchange.user.rpartition("@")[2].casefold(), exchange.server]
    tenant = [exchange.tenant_id.casefold(), exchange.cloud] if exchange.sync_type.is_cloud else []
    words = [sorted(rules.raising), sorted(rules.lowering)]
    return Fingerprint(
        state=state,
        pbx=_hash(pbx.name),
        pbx_link=_hash([pbx.url, pbx.app, pbx.certificate]),
        pbx_secrets=_hash_secrets("pbx", pbx, sign),
        scope=_hash([getattr(pbx, name) for name in _SCOPE]),
        exchange=_hash([exchange.sync_type, place, tenant]),
        account=_hash(
            exchange.model_dump(mode="json", exclude={*_WITHOUT_EFFECT, *secret_fields("exchange")})
        ),
        exchange_secrets=_hash_secrets("exchange", exchange, sign),
        detection=exchange.detection,
        rules=_hash(
            [
                rules.language,
                rules.timezone,
                rules.show_subject,
                rules.until_unit,
                sorted(rules.activities.items()),
                rules.mapping.tentative_exception,
                sorted(rules.exceptions),
                words,
            ]
        ),
        words=_hash(words),
    )


def blend(first: Fingerprint, second: Fingerprint) -> Fingerprint:
    """What is known where some users are as after the first and others as after the second."""
    return Fingerprint(
        *(
            ours if ours == theirs else UNKNOWN
            for ours, theirs in ((getattr(first, name), getattr(second, name)) for name in _NAMES)
        )
    )


def find_effects(old: Fingerprint, new: Fingerprint) -> frozenset[Effect]:
    """What has to be done where ``old`` was applied and ``new`` is configured."""
    changed = {
        name for name in _NAMES if getattr(old, name) == UNKNOWN or getattr(old, name) != getattr(new, name)
    }
    effects: set[Effect] = set()
    if changed & {"pbx", "pbx_link", "pbx_secrets"}:
        effects |= {Effect.END_PBX_PAUSE, Effect.REPLICATE}
    if "scope" in changed:
        effects.add(Effect.REPLICATE)
    if "pbx" in changed:
        effects.add(Effect.TELL_ANEW)
    if new.state == State.DISABLED:
        # Nothing that Exchange said is left, and nobody works: the PBX is only told that it is over.
        return frozenset(effects - {Effect.REPLICATE} | ({Effect.RETIRE} if "state" in changed else set()))
    if "rules" in changed:
        effects.add(Effect.PRESENT)
    if "words" in changed:
        effects |= {Effect.PRESENT, Effect.RANK}
    if changed & {"exchange", "account", "exchange_secrets"}:
        effects |= {Effect.END_EXCHANGE_PAUSE, Effect.RETRY}
    if "exchange" in changed:
        effects |= {Effect.FORGET_MAILBOXES, Effect.SUBSCRIBE}
    if "detection" in changed:
        effects |= {Effect.END_SUBSCRIPTIONS, Effect.SUBSCRIBE}
    if new.state != State.WORKING:
        # Work that is asked for now would be dropped; all is asked for when the configuration is complete.
        return frozenset(effects - {Effect.REPLICATE, Effect.SUBSCRIBE, Effect.RETRY})
    if "state" in changed:
        effects |= {
            Effect.END_EXCHANGE_PAUSE,
            Effect.END_PBX_PAUSE,
            Effect.REPLICATE,
            Effect.SUBSCRIBE,
        }
    return frozenset(effects)


def suffices(agenda: Agenda, rules: PresenceRules, *, rank: bool) -> bool:
    """Whether a stored agenda holds all that these rules look at; else the calendar has to be read.

    Subjects and organizers are only stored where the rules of that time needed them. ``rank`` says that the
    words that rank subjects have changed since.
    """
    for appointment in agenda.appointments:
        if rules.exceptions and appointment.show_as is ShowAs.TENTATIVE and not appointment.organizer:
            return False
        if appointment.rank is None or find_activity(appointment, rules) is None:
            continue
        shows = rules.show_subject and appointment.sensitivity is Sensitivity.NORMAL
        if rank or shows:
            return False
    return True


def _hash(value: object) -> str:
    return sha256(json.dumps(value).encode()).hexdigest()[:32]


def _hash_secrets(name: str, section: Section, sign: Callable[[str], str]) -> str:
    return sign(json.dumps([getattr(section, field).get_secret_value() for field in secret_fields(name)]))
