"""Which appointments never show, and why."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.model import Activity, Appointment, Response, ShowAs
from shared.presence import ActivityMapping, Omission, PresenceRules, find_omission
from tests.unit.presence.agendas import appoint, at

NOW = at("09:00")
MEETING = appoint("08:00", "10:00")


@pytest.mark.parametrize(
    ("appointment", "omission"),
    [
        (MEETING, None),
        (replace(MEETING, end=at("09:00:01")), None),
        (replace(MEETING, end=NOW), Omission.OVER),
        (replace(MEETING, start=at("10:00")), Omission.EMPTY),
        (replace(MEETING, start=at("11:00")), Omission.EMPTY),
        (replace(MEETING, cancelled=True), Omission.CANCELLED),
        (replace(MEETING, response=Response.DECLINE), Omission.DECLINED),
        (replace(MEETING, show_as=ShowAs.FREE), Omission.FREE),
        (replace(MEETING, show_as=ShowAs.TENTATIVE), Omission.IGNORED),
        (replace(MEETING, show_as=ShowAs.NO_DATA), Omission.IGNORED),
        (replace(MEETING, show_as=ShowAs.TENTATIVE, organizer="HR@example.com "), None),
        (replace(MEETING, show_as=ShowAs.TENTATIVE, organizer="x@example.com"), Omission.IGNORED),
    ],
)
def test_an_appointment_that_never_shows_is_omitted_for_a_reason(
    appointment: Appointment, omission: Omission | None
) -> None:
    rules = PresenceRules(tentative_exception_organizers=("x", " hr@EXAMPLE.com"))

    assert find_omission(appointment, NOW, rules) == omission


def test_an_exception_can_be_ignored_where_tentative_is_not() -> None:
    tentative = replace(MEETING, show_as=ShowAs.TENTATIVE, organizer="hr@example.com")
    mapping = ActivityMapping(tentative=Activity.BUSY, tentative_exception=None)
    rules = PresenceRules(mapping=mapping, tentative_exception_organizers=("hr@example.com",))

    assert find_omission(tentative, NOW, rules) is Omission.IGNORED
    assert find_omission(replace(tentative, organizer=""), NOW, rules) is None
