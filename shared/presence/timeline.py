"""Who shows when, and why: an agenda as the sequence of those who show."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from shared.model import Activity, Appointment, Presence
from shared.presence.clock import to_utc
from shared.presence.composition import compose, next_composition
from shared.presence.precedence import Candidate, Key, Rule, compare, enter
from shared.presence.rules import PresenceRules

type _Turn = tuple[datetime, Candidate | None]


@dataclass(frozen=True, slots=True)
class Rival:
    """An appointment that counts in a segment and doesn't show, and the rule by which it loses."""

    appointment: Appointment
    activity: Activity
    rule: Rule


@dataclass(frozen=True, slots=True)
class Segment:
    """A time, in UTC, in which the same appointment shows, or nobody.

    ``end`` is exclusive; None in the last segment, which nobody ends. ``rivals`` are all the others that
    count at any instant of the segment, the strongest first.
    """

    start: datetime
    end: datetime | None
    winner: Appointment | None
    activity: Activity
    rivals: tuple[Rival, ...] = ()

    @property
    def reason(self) -> Rule | None:
        """The rule that decided against the strongest rival; None where there was nothing to decide."""
        return self.rivals[0].rule if self.rivals else None


def timeline(
    appointments: Iterable[Appointment], start: datetime, rules: PresenceRules
) -> tuple[Segment, ...]:
    """Divide the time from ``start`` (aware) on into segments that touch; the last one is nobody's.

    Raises ValueError when ``start`` has no zone.
    """
    start = to_utc(start)
    entered = (enter(appointment, rules) for appointment in appointments if appointment.end > start)
    candidates = sorted(
        (candidate for candidate in entered if candidate is not None),
        key=lambda candidate: candidate.appointment.start,
    )
    turns = _find_turns(candidates, start)
    segments: list[Segment] = []
    waiting = deque(candidates)
    running: list[Candidate] = []
    for (begin, winner), (end, _) in pairwise(turns):
        while waiting and waiting[0].appointment.start < end:
            running.append(waiting.popleft())
        running = [candidate for candidate in running if candidate.appointment.end > begin]
        segments.append(_make_segment(begin, end, winner, running))
    segments.append(_make_segment(turns[-1][0], None, None, ()))
    return tuple(segments)


def compose_each(segments: Sequence[Segment], rules: PresenceRules) -> Iterator[tuple[datetime, Presence]]:
    """Compose every note that the segments of a timeline give: the instant from which it holds, and it.

    A segment gives two where its end is first named with a date and from midnight on without. A note depends
    on nobody but who shows and who shows next.
    """
    for segment, following in pairwise(segments):
        agenda = [shown.winner for shown in (segment, following) if shown.winner is not None]
        presence = compose(agenda, segment.start, rules)
        yield segment.start, presence
        again = next_composition(presence, segment.start, rules)
        if again is not None and again != segment.end:
            yield again, compose(agenda, again, rules)
    for last in segments[-1:]:
        yield last.start, compose((), last.start, rules)


def _find_turns(candidates: Iterable[Candidate], start: datetime) -> list[_Turn]:
    """Find every instant at which the winner changes; ``candidates`` come in the order they start."""
    turns: list[_Turn] = []
    waiting = deque(candidates)
    running: list[tuple[Key, int, Candidate]] = []
    instant: datetime | None = start
    while instant is not None:
        while waiting and waiting[0].appointment.start <= instant:
            heapq.heappush(running, (waiting[0].key, len(waiting), waiting.popleft()))
        while running and running[0][-1].appointment.end <= instant:
            heapq.heappop(running)
        winner = running[0][-1] if running else None
        if not turns or winner is not turns[-1][-1]:
            turns.append((instant, winner))
        ahead = [] if winner is None else [winner.appointment.end]
        if waiting:
            ahead.append(waiting[0].appointment.start)
        instant = min(ahead, default=None)
    return turns


def _make_segment(
    start: datetime, end: datetime | None, winner: Candidate | None, running: Iterable[Candidate]
) -> Segment:
    if winner is None:
        return Segment(start, end, None, Activity.AVAILABLE)
    rivals = sorted(
        (candidate for candidate in running if candidate is not winner), key=lambda rival: rival.key
    )
    reasons = [Rival(rival.appointment, rival.activity, compare(winner, rival)) for rival in rivals]
    return Segment(start, end, winner.appointment, winner.activity, tuple(reasons))
