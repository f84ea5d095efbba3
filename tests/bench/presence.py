"""How fast notes are composed, and how that grows with the agenda.

Beside each measurement stands what ``json.dumps`` takes for the same agenda on the same machine: it visits
every appointment once, so the ratio of the two says more than the time alone. Run it with
``python -m tests.bench.presence``.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from shared.model import Appointment, ShowAs
from shared.presence import PresenceRules, compose, compose_each, timeline
from shared.presence.command import compose_line

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
RULES = PresenceRules.from_mapping(
    {
        "language": "de",
        "timezone": "Europe/Berlin",
        "mapping": {"tentative": "busy"},
        "prioritized": ["Urlaub", "vacation"],
        "not_prioritized": ["Fokus"],
    }
)
SIZES = (10, 100, 1000)
SUBJECTS = ("Übergabe mit dem Team", "1:1", "Urlaub", "Fokuszeit", "Projekt #4 – Planung", "🎉 Party")
LONGEST = 0.3
"""Seconds of each of the five attempts, of which the fastest counts."""


def draw_agenda(size: int, chance: random.Random) -> list[Appointment]:
    """Draw an agenda whose appointments are spread over 48 hours and overlap."""
    agenda = []
    for number in range(size):
        start = NOW + timedelta(minutes=15 * chance.randint(-16, 176))
        agenda.append(
            Appointment(
                id=f"AAMkAD{number:06}",
                start=start,
                end=start + timedelta(minutes=15 * chance.randint(1, 16)),
                subject=chance.choice(SUBJECTS),
                show_as=chance.choice(list(ShowAs)),
                organizer="boss@example.com",
            )
        )
    return agenda


def write_request(agenda: Sequence[Appointment]) -> bytes:
    """Write the line that asks the command for the same note."""
    return json.dumps(
        {
            "now": NOW.isoformat(),
            "settings": {"language": "de", "timezone": "Europe/Berlin"},
            "appointments": [_write_appointment(item) for item in agenda],
        }
    ).encode()


def measure[Item](task: Callable[[Item], object], items: Sequence[Item]) -> float:
    """Give the seconds of one core that a call takes, at best."""
    best = float("inf")
    for _ in range(5):
        calls = 0
        begun = time.process_time()
        while (spent := time.process_time() - begun) < LONGEST:
            for item in items:
                task(item)
            calls += len(items)
        best = min(best, spent / calls)
    return best


def main() -> None:
    """Measure and print."""
    chance = random.Random(2026)
    tasks: dict[str, Callable[[list[Appointment]], object]] = {
        "compose": lambda agenda: compose(agenda, NOW, RULES),
        "timeline": lambda agenda: timeline(agenda, NOW, RULES),
        "timeline and all its notes": lambda agenda: list(compose_each(timeline(agenda, NOW, RULES), RULES)),
    }
    print(f"{'':28}{'size':>6}{'a second':>12}{'µs':>12}{'growth':>9}{'json.dumps µs':>16}{'ratio':>8}")
    agendas = {size: [draw_agenda(size, chance) for _ in range(2000 // size)] for size in SIZES}
    baselines = {}
    for size in SIZES:
        plain = [[_write_appointment(item) for item in agenda] for agenda in agendas[size]]
        baselines[size] = measure(json.dumps, plain)
    for name, task in tasks.items():
        print_rows(name, {size: measure(task, agendas[size]) for size in SIZES}, baselines)
    requests = {size: [write_request(agenda) for agenda in agendas[size]] for size in SIZES}
    print_rows(
        "a line of the command", {size: measure(compose_line, requests[size]) for size in SIZES}, baselines
    )
    print(
        "growth: how many times longer than the size above, which is a tenth. Target: 20 000 notes a second"
    )
    print("for 10 appointments on one core, and growth no faster than n log n (20, then 15).")


def print_rows(name: str, seconds: dict[int, float], baselines: dict[int, float]) -> None:
    """Print a line for each size."""
    for size, taken in seconds.items():
        growth = f"{taken / seconds[size // 10]:.1f}" if size // 10 in seconds else ""
        baseline = baselines[size]
        print(
            f"{name:28}{size:6}{1 / taken:12,.0f}{taken * 1e6:12,.1f}{growth:>9}"
            f"{baseline * 1e6:16,.1f}{taken / baseline:8.2f}"
        )


def _write_appointment(item: Appointment) -> dict[str, str]:
    return {
        "id": item.id,
        "subject": item.subject,
        "start": item.start.isoformat(),
        "end": item.end.isoformat(),
        "show_as": item.show_as.value,
        "organizer": item.organizer,
    }


if __name__ == "__main__":
    main()
