"""The rule by which one appointment shows and another doesn't."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.model import Appointment, ShowAs
from shared.presence import PresenceRules, Rule, timeline
from shared.presence.precedence import compare, enter
from tests.unit.presence.agendas import appoint, at

RULES = PresenceRules(prioritized=("first",), not_prioritized=("last",))
PLAIN = appoint("08:00", "10:00", "b")


@pytest.mark.parametrize(
    ("winner", "loser", "rule"),
    [
        (replace(PLAIN, subject="first", show_as=ShowAs.WORKING_ELSEWHERE), PLAIN, Rule.RANK),
        (replace(PLAIN, show_as=ShowAs.WORKING_ELSEWHERE), replace(PLAIN, subject="last"), Rule.RANK),
        (
            PLAIN,
            replace(PLAIN, show_as=ShowAs.WORKING_ELSEWHERE, start=at("08:30"), end=at("09:30")),
            Rule.OVER_AVAILABLE,
        ),
        (replace(PLAIN, start=at("08:01")), replace(PLAIN, show_as=ShowAs.OUT_OF_OFFICE), Rule.LATER_START),
        (
            replace(PLAIN, show_as=ShowAs.OUT_OF_OFFICE),
            replace(PLAIN, end=at("09:30")),
            Rule.STRONGER_ACTIVITY,
        ),
        (replace(PLAIN, end=at("09:30")), replace(PLAIN, id="a"), Rule.EARLIER_END),
        (replace(PLAIN, id="10"), replace(PLAIN, id="9"), Rule.SMALLER_ID),
    ],
)
def test_the_first_rule_that_tells_two_apart_decides(
    winner: Appointment, loser: Appointment, rule: Rule
) -> None:
    for agenda in ([winner, loser], [loser, winner]):
        segment = timeline(agenda, at("09:00"), RULES)[0]
        assert segment.winner is winner
        assert [rival.appointment for rival in segment.rivals] == [loser]
        assert segment.reason is rule


def test_two_with_the_same_id_are_told_apart_by_nothing_else() -> None:
    one, other = enter(PLAIN, RULES), enter(replace(PLAIN, subject="c"), RULES)
    assert one is not None
    assert other is not None

    assert compare(one, other) is Rule.SMALLER_ID

    segments = timeline([replace(PLAIN, subject=subject) for subject in "bcd"], at("09:00"), RULES)
    assert len(segments) == 2
    assert [rival.rule for rival in segments[0].rivals] == [Rule.SMALLER_ID] * 2
