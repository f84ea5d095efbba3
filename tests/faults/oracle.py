"""What is right: from the calendars and the PBX's users alone, without a look at what the service stored.

`compose` and `redact` are all that it shares with the service.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from shared.model import Appointment, User
from shared.presence import PresenceRules, compose, redact
from tests.faults.exchange import Exchange, Reading, Version
from tests.faults.pbx import DOMAIN, STAFF, Pbx, Row, Taken

WINDOW = timedelta(hours=48)
DAY = timedelta(days=1)
NOTHING = ("", "")

SLACK = timedelta(seconds=75)
"""How long work that began with the former state may take to its end: a slow answer, and calls."""

_END = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Owned:
    """From ``since`` on a user had this mailbox; None: no calendar, or no such user."""

    since: datetime
    mailbox: str | None


@dataclass(frozen=True, slots=True)
class State:
    """What a user's calendar held from ``since`` on, and until when the service may go by it."""

    since: datetime
    until: datetime
    appointments: tuple[Appointment, ...] | None


@dataclass(frozen=True, slots=True)
class Regime:
    """From ``since`` on presences follow these rules; None: the service is disabled."""

    since: datetime
    rules: PresenceRules | None


@dataclass
class Oracle:
    """Judges presences. ``stored`` is what the service came to know of each user's calendar, and when.

    ``replicated`` is of which mailbox it came to know, ``regimes`` are the configurations there were,
    ``excluded`` whom the administrator kept out, and when.
    """

    exchange: Exchange
    pbx: Pbx
    regimes: list[Regime]
    stored: dict[str, list[tuple[datetime, str | None, datetime]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    replicated: dict[str, list[tuple[datetime, str | None]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    excluded: dict[str, list[tuple[datetime, bool]]] = field(default_factory=lambda: defaultdict(list))

    def learn(self, guid: str, reading: Reading) -> None:
        """The service has stored what it read for a user."""
        self.stored[guid].append((self.exchange.clock(), reading.mailbox, reading.taken_at))

    def replicate(self, guid: str, addresses: Iterable[str]) -> None:
        """The service has stored a user's addresses."""
        self.replicated[guid].append((self.exchange.clock(), self._find_mailbox(addresses)))

    def forget(self, guid: str) -> None:
        """The service has deleted what it stored of a user's calendar."""
        now = self.exchange.clock()
        self.stored[guid].append((now, None, now))

    # ---- the end

    def faults(self, now: datetime) -> Iterator[str]:
        """Every user whose presence on the PBX is not the one that their calendar calls for."""
        for guid in sorted(self.pbx.rows):
            if self.pbx.user(guid) is None or self._came_while_disabled(guid):
                continue
            shown = self.pbx.shown.get(guid, NOTHING)
            wanted = self.wanted(guid, now)
            if shown not in wanted:
                yield f"{guid[:4]} shows {shown}, called for is {' or '.join(map(str, wanted))}"

    def _came_while_disabled(self, guid: str) -> bool:
        """Whether the service is disabled since before this user came: it does not look who comes then."""
        if self.regimes[-1].rules is not None:
            return False
        rows = self.pbx.rows[guid]
        came = max(
            (row.since for before, row in pairwise(rows) if before.user is None), default=rows[0].since
        )
        disabled = max(regime.since for regime in self.regimes if regime.rules is not None)
        return came >= min(regime.since for regime in self.regimes if regime.since > disabled)

    def wanted(self, guid: str, now: datetime) -> list[tuple[str, str]]:
        """The presences that are right for a user now: several where the last reading decides."""
        mailbox = self._owned(guid)[-1].mailbox
        rules = self.regimes[-1].rules
        if mailbox is None or rules is None:
            return [NOTHING]
        found = []
        for presence in _compose(rules, self.exchange.calendar(mailbox), now, now - DAY):
            found.append(presence)
            if presence == ("", rules.words.free):
                # Who never had a presence isn't told a bare "free".
                found.append(NOTHING)
        return found

    # ---- on the way

    def is_true(self, taken: Taken) -> bool:
        """Whether this presence was right at some moment before the PBX took it."""
        presence = (taken.activity, taken.note)
        regimes = [regime.rules for regime in self.regimes if regime.since <= taken.at]
        # Until it is read again, a calendar that was stored without its subjects shows without them.
        bare = [rules for rules in regimes if rules is not None and not rules.show_subject]
        states = [state for state in reversed(self._states(taken.guid)) if state.since <= taken.at]
        return any(
            presence in self._ever(rules, stored, taken.at)
            for rules in reversed(regimes)
            for state in states
            for stored in (state, *(_stored(state, bare[-1]) for _ in bare[-1:]))
        )

    def _ever(self, rules: PresenceRules | None, state: State, end: datetime) -> Iterator[tuple[str, str]]:
        """Every presence of a state from its beginning until it was superseded, or until ``end``."""
        if state.appointments is None or rules is None:
            yield NOTHING
            return
        end = min(end, state.until)
        for moment in self._moments(rules, state.appointments, state.since, end):
            yield from _compose(rules, state.appointments, moment, state.since - SLACK)

    def _moments(
        self, rules: PresenceRules, appointments: Iterable[Appointment], since: datetime, end: datetime
    ) -> Iterator[datetime]:
        """When a presence may read differently: at boundaries and at midnights."""
        moments = {since, end}
        for appointment in appointments:
            moments |= {appointment.start, appointment.end}
        midnight = since.astimezone(rules.zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
        while midnight <= end:
            moments.add(midnight.astimezone(UTC))
            midnight = (midnight + timedelta(hours=26)).replace(hour=0, fold=0)
        return (moment for moment in sorted(moments, reverse=True) if since <= moment <= end)

    # ---- histories

    def _owned(self, guid: str) -> list[Owned]:
        owned: list[Owned] = []
        rows = self.pbx.rows.get(guid, [])
        excluded = self.excluded[guid]
        for moment in sorted({row.since for row in rows} | {since for since, _ in excluded}):
            row = [row for row in rows if row.since <= moment][-1]
            out = [out for since, out in excluded if since <= moment][-1:] == [True]
            mailbox = None if out else self._mailbox_of(row)
            if mailbox is not None and (moment, False) in excluded:
                # Who is let in has the mailbox of which the service knows, until it is told of another.
                owned += [Owned(moment, known) for at, known in self.replicated[guid] if at <= moment][-1:]
            if not owned or owned[-1].mailbox != mailbox:
                owned.append(Owned(moment, mailbox))
        return owned

    def _mailbox_of(self, row: Row) -> str | None:
        if row.user is None or STAFF not in row.user.groups:
            return None
        return self._find_mailbox(addresses_of(row.user))

    def _find_mailbox(self, addresses: Iterable[str]) -> str | None:
        found = (self.exchange.aliases.get(address) for address in addresses)
        return next((mailbox for mailbox in found if mailbox is not None), None)

    def _states(self, guid: str) -> list[State]:
        states: list[State] = []
        owned = self._owned(guid)
        for number, own in enumerate(owned):
            later = owned[number + 1 :]
            if own.mailbox is None:
                if number or any(row.user for row in self.pbx.rows[guid]):
                    states.append(State(own.since, _END, None))
                continue
            history = self.exchange.histories[own.mailbox]
            first = max(bisect_right(history, own.since, key=lambda version: version.since) - 1, 0)
            for index in range(first, len(history)):
                version = history[index]
                following = history[index + 1] if index + 1 < len(history) else None
                until = self._superseded(guid, own.mailbox, following, later)
                states.append(State(max(version.since, own.since), until, version.appointments))
        return states

    def _superseded(self, guid: str, mailbox: str, following: Version | None, later: list[Owned]) -> datetime:
        """When the service knew better, and what it had begun before was over."""
        for at, stored, taken_at in self.stored[guid]:
            if stored == mailbox:
                if following is not None and taken_at >= following.since:
                    return at + SLACK
            elif any(own.mailbox == stored and own.since <= at for own in later):
                return at + SLACK
        return _END


def _compose(
    rules: PresenceRules, appointments: Iterable[Appointment], now: datetime, read_since: datetime
) -> Iterator[tuple[str, str]]:
    """The presence at ``now`` for each window that a reading since then may have had."""
    appointments = tuple(appointments)
    read_at = max(read_since, now - DAY - timedelta(hours=2))
    ends = {now + WINDOW, read_at + WINDOW}
    ends |= {a.start for a in appointments if read_at + WINDOW < a.start <= now + WINDOW}
    for end in sorted(ends, reverse=True):
        within = [appointment for appointment in appointments if appointment.start < end]
        presence = compose(within, now, rules)
        yield presence.activity.on_pbx, presence.note


def _stored(state: State, rules: PresenceRules) -> State:
    """What is stored of a calendar under these rules."""
    if state.appointments is None:
        return state
    return replace(state, appointments=tuple(redact(each, rules) for each in state.appointments))


def addresses_of(user: User) -> list[str]:
    """A user's e-mail addresses in order, then user name and domain: the first that Exchange knows wins."""
    return [*user.emails, f"{user.sip}@{DOMAIN}"]
