"""What a change of the configuration means."""

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from shared.cipher import Cipher
from shared.model import Agenda, Appointment, Sensitivity, ShowAs
from shared.presence import PresenceRules, compose, redact
from shared.settings import Configuration, parse_section
from shared.sync.changes import (
    PER_USER,
    UNKNOWN,
    Effect,
    Fingerprint,
    State,
    blend,
    find_effects,
    suffices,
    take_fingerprint,
)

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
KEY = Fernet.generate_key().decode()
SIGN = Cipher([KEY]).fingerprint

PBX = {"address": "pbx.example.com", "name": "master", "password": "pbx secret"}
EXCHANGE = {
    "sync_type": "on-premises",
    "user": "calendar@example.com",
    "password": "ews secret",
    "url": "mail.example.com",
}
CLOUD = {
    "sync_type": "cloud-app-only",
    "user": "calendar@example.com",
    "client_id": "1b4e28ba-2fa1-11d2-883f-0016d3cca427",
    "tenant_id": "example.com",
    "client_secret": "secret",
}
PRESENCE = {"timezone": "Europe/Berlin"}


def configured(**sections: dict[str, Any]) -> Configuration:
    given = {"pbx": PBX, "exchange": EXCHANGE, "presence": PRESENCE} | sections
    return Configuration(**{name: parse_section(name, values) for name, values in given.items()})  # type: ignore[arg-type]


take = partial(take_fingerprint, sign=SIGN)


def effects_of(old: Configuration, new: Configuration) -> set[Effect]:
    return set(find_effects(take(old), take(new)))


WHOLE = configured()


def changed(section: str, **values: Any) -> set[Effect]:
    """What happens where these values of one section are changed."""
    full = {"pbx": PBX, "exchange": EXCHANGE, "presence": PRESENCE}[section]
    return effects_of(WHOLE, configured(**{section: full | values}))


REACH_PBX = {Effect.END_PBX_PAUSE, Effect.REPLICATE}
REACH_EXCHANGE = {Effect.END_EXCHANGE_PAUSE, Effect.RETRY}
BEGIN = {Effect.REPLICATE, Effect.SUBSCRIBE, Effect.END_PBX_PAUSE, Effect.END_EXCHANGE_PAUSE}


def test_what_is_saved_unchanged_has_no_effect() -> None:
    assert effects_of(WHOLE, configured()) == set()


@pytest.mark.parametrize(
    ("values", "effects"),
    [
        ({"password": "another"}, REACH_PBX),
        ({"address": "pbx2.example.com"}, REACH_PBX),
        ({"address": "wss://pbx.example.com"}, set()),
        ({"app": "calendar"}, REACH_PBX),
        ({"name": "slave"}, REACH_PBX | {Effect.TELL_ANEW}),
        ({"scope": "app", "scope_app": "calendar"}, {Effect.REPLICATE}),
        ({"scope": "groups", "scope_groups": ["sales"]}, {Effect.REPLICATE}),
        ({"domain": "example.com"}, {Effect.REPLICATE}),
    ],
)
def test_changes_of_the_pbx(values: dict[str, Any], effects: set[Effect]) -> None:
    assert changed("pbx", **values) == effects


OTHER_EXCHANGE = REACH_EXCHANGE | {Effect.FORGET_MAILBOXES, Effect.SUBSCRIBE}


@pytest.mark.parametrize(
    ("values", "effects"),
    [
        ({"password": "another"}, REACH_EXCHANGE),
        ({"user": "other@example.com"}, REACH_EXCHANGE),
        ({"channel_binding": "off"}, REACH_EXCHANGE),
        ({"name_resolving": "candidate users"}, REACH_EXCHANGE),
        ({"url": "other.example.com"}, OTHER_EXCHANGE),
        ({"url": ""}, OTHER_EXCHANGE),
        ({"detection": "poll"}, {Effect.END_SUBSCRIPTIONS, Effect.SUBSCRIBE}),
        ({"debug_until": "2026-11-23T10:00:00Z", "debug_subjects": True}, set()),
        ({"secret_expires_on": "2027-05-31"}, set()),
        ({"max_subscriptions": 10, "poll_minutes": 30}, set()),
        ({"sync_type": "disabled"}, {Effect.RETIRE}),
        ({"sync_type": "disabled", "url": "other.example.com", "password": "x"}, {Effect.RETIRE}),
        ({"password": ""}, {Effect.END_EXCHANGE_PAUSE}),
    ],
)
def test_changes_of_exchange(values: dict[str, Any], effects: set[Effect]) -> None:
    assert changed("exchange", **values) == effects


def test_where_exchange_is_found_from_the_account_another_domain_is_another_exchange() -> None:
    found = configured(exchange=EXCHANGE | {"url": ""})
    same = configured(exchange=EXCHANGE | {"url": "", "user": "other@EXAMPLE.com"})
    other = configured(exchange=EXCHANGE | {"url": "", "user": "calendar@example.net"})
    internal = configured(exchange=EXCHANGE | {"url": "", "server": "internal"})
    assert effects_of(found, same) == REACH_EXCHANGE
    assert effects_of(found, other) == OTHER_EXCHANGE
    assert effects_of(found, internal) == OTHER_EXCHANGE


@pytest.mark.parametrize(
    ("values", "effects"),
    [
        ({"client_secret": "other"}, REACH_EXCHANGE),
        ({"client_id": "1b4e28ba-2fa1-11d2-883f-0016d3cca428"}, REACH_EXCHANGE),
        ({"tenant_id": "example.net"}, OTHER_EXCHANGE),
        ({"cloud": "china"}, OTHER_EXCHANGE),
    ],
)
def test_changes_of_exchange_online(values: dict[str, Any], effects: set[Effect]) -> None:
    assert effects_of(configured(exchange=CLOUD), configured(exchange=CLOUD | values)) == effects


@pytest.mark.parametrize(
    ("values", "effects"),
    [
        ({"language": "de"}, {Effect.PRESENT}),
        ({"timezone": "UTC"}, {Effect.PRESENT}),
        ({"show_subject": False}, {Effect.PRESENT}),
        ({"until_unit": "s"}, {Effect.PRESENT}),
        ({"mapping": {"busy": "dnd"}}, {Effect.PRESENT}),
        ({"mapping": {"tentative_exception": "busy"}}, {Effect.PRESENT}),
        ({"mapping": {"busy": "busy"}}, set()),
        ({"tentative_exception_organizers": ["hr@example.com"]}, {Effect.PRESENT}),
        ({"prioritized": ["!"]}, {Effect.PRESENT, Effect.RANK}),
        ({"not_prioritized": ["lunch"]}, {Effect.PRESENT, Effect.RANK}),
        ({"prioritized": [" "]}, set()),
    ],
)
def test_changes_of_the_rules(values: dict[str, Any], effects: set[Effect]) -> None:
    assert changed("presence", **values) == effects


def test_what_becomes_complete_begins() -> None:
    incomplete = configured(exchange=EXCHANGE | {"password": ""})
    assert effects_of(incomplete, WHOLE) == BEGIN | REACH_EXCHANGE
    disabled = configured(exchange=EXCHANGE | {"sync_type": "disabled"})
    assert effects_of(disabled, WHOLE) >= BEGIN
    assert effects_of(configured(pbx={}), WHOLE) == BEGIN | {Effect.TELL_ANEW}


def test_while_it_is_incomplete_no_work_is_asked_for_and_nothing_is_retired() -> None:
    incomplete = configured(pbx=PBX | {"name": ""})
    assert effects_of(WHOLE, incomplete) == {Effect.END_PBX_PAUSE, Effect.TELL_ANEW}
    later = configured(pbx=PBX | {"name": ""}, presence=PRESENCE | {"language": "de"})
    assert effects_of(incomplete, later) == {Effect.PRESENT}


def test_disabled_stays_without_effect_whatever_changes_of_exchange_and_the_rules() -> None:
    off = configured(exchange={"sync_type": "disabled"})
    other = configured(exchange=EXCHANGE | {"sync_type": "disabled"}, presence={"language": "de"})
    assert effects_of(off, other) == set()
    assert effects_of(off, configured(exchange={}, pbx=PBX | {"password": "x"})) == {Effect.END_PBX_PAUSE}


def test_a_fingerprint_holds_no_secret_and_none_can_be_guessed_without_the_key() -> None:
    printed = repr(take(WHOLE))
    assert "secret" not in printed.replace("pbx_secrets", "").replace("exchange_secrets", "")
    other = take_fingerprint(WHOLE, Cipher([Fernet.generate_key().decode()]).fingerprint)
    differing = {
        part.name for part in fields(other) if getattr(other, part.name) != getattr(take(WHOLE), part.name)
    }
    assert differing == {"pbx_secrets", "exchange_secrets"}


def test_what_another_version_stored_is_read_as_far_as_it_is_known() -> None:
    stored_by_us = {part.name: "x" for part in fields(Fingerprint)}
    stored = {name: "x" for name in stored_by_us if name != "words"} | {"former": "y"}
    assert Fingerprint.of(stored) == Fingerprint(**stored_by_us | {"words": UNKNOWN})


# ---- properties

values = st.sampled_from(["a", "b", "c"])
known = st.builds(
    Fingerprint,
    **{part.name: values for part in fields(Fingerprint) if part.name != "state"},
    state=st.sampled_from([*State]).map(str),
)
fingerprints = known | st.builds(blend, known, known)


@given(known)
def test_without_a_change_there_is_no_effect(one: Fingerprint) -> None:
    assert find_effects(one, one) == set()
    assert blend(one, one) == one


@given(fingerprints, known, known)
def test_an_interrupted_change_leaves_nothing_out(
    base: Fingerprint, halted: Fingerprint, new: Fingerprint
) -> None:
    """Whoever is still as after the one or already as after the other gets all that leads to the newest."""
    effects = find_effects(blend(base, halted), new)
    assert effects >= find_effects(base, new)
    assert effects >= find_effects(halted, new)


@given(fingerprints, known)
def test_the_more_is_unknown_the_more_is_done(base: Fingerprint, new: Fingerprint) -> None:
    unknown = Fingerprint(*[UNKNOWN] * len(fields(Fingerprint)))
    assert find_effects(unknown, new) >= find_effects(base, new)
    assert blend(base, unknown) == unknown


@given(fingerprints, known)
def test_presences_are_cleared_when_and_only_when_it_is_disabled(base: Fingerprint, new: Fingerprint) -> None:
    effects = find_effects(base, new)
    assert (Effect.RETIRE in effects) == (new.state == State.DISABLED != base.state)
    if new.state == State.DISABLED:
        assert effects & PER_USER <= {Effect.RETIRE, Effect.TELL_ANEW}


@given(fingerprints, known)
def test_work_is_asked_for_only_where_it_would_be_done(base: Fingerprint, new: Fingerprint) -> None:
    if find_effects(base, new) & {Effect.REPLICATE, Effect.SUBSCRIBE, Effect.RETRY}:
        assert new.state == State.WORKING
    if base.state != new.state == State.WORKING:
        assert find_effects(base, new) >= BEGIN


# ---- what a stored agenda suffices for


def agenda(*appointments: Appointment) -> Agenda:
    return Agenda(appointments, NOW, NOW + timedelta(hours=48), 1)


MEETING = Appointment("1", NOW, NOW + timedelta(hours=1), "Lunch with Anna", organizer="anna@example.com")
RULES = PresenceRules()
SILENT = PresenceRules(show_subject=False)
EXCEPTIONS = PresenceRules(tentative_exception_organizers=("hr@example.com",))
LOWERED = PresenceRules(not_prioritized=("lunch",))


@pytest.mark.parametrize(
    ("old", "appointment", "new", "rank", "sufficient"),
    [
        (RULES, MEETING, SILENT, False, True),
        (SILENT, MEETING, RULES, False, False),
        (SILENT, MEETING, PresenceRules(show_subject=False, language="de"), False, True),
        (SILENT, replace(MEETING, sensitivity=Sensitivity.PRIVATE), RULES, False, True),
        (RULES, MEETING, LOWERED, True, True),
        (RULES, replace(MEETING, sensitivity=Sensitivity.PRIVATE), LOWERED, True, False),
        (RULES, replace(MEETING, sensitivity=Sensitivity.PRIVATE, cancelled=True), LOWERED, True, True),
        # Ignored before, so that its subject was not stored.
        (RULES, replace(MEETING, show_as=ShowAs.NO_DATA), RULES, False, True),
        (
            RULES,
            replace(MEETING, show_as=ShowAs.NO_DATA),
            PresenceRules.from_mapping({"mapping": {"no_data": "busy"}}),
            False,
            False,
        ),
        (RULES, replace(MEETING, show_as=ShowAs.TENTATIVE, organizer=""), EXCEPTIONS, False, False),
        (RULES, replace(MEETING, show_as=ShowAs.TENTATIVE), EXCEPTIONS, False, True),
        (RULES, replace(MEETING, organizer=""), EXCEPTIONS, False, True),
    ],
)
def test_an_agenda_suffices_where_it_holds_what_the_rules_look_at(
    old: PresenceRules, appointment: Appointment, new: PresenceRules, rank: bool, sufficient: bool
) -> None:
    assert suffices(agenda(redact(appointment, old)), new, rank=rank) is sufficient


some_rules = st.builds(
    PresenceRules,
    show_subject=st.booleans(),
    mapping=st.sampled_from([RULES.mapping, replace(RULES.mapping, no_data=RULES.mapping.busy)]),
    tentative_exception_organizers=st.sampled_from([(), ("hr@example.com",)]),
    prioritized=st.sampled_from([(), ("lunch",)]),
    not_prioritized=st.sampled_from([(), ("anna",)]),
)
some_appointments = st.builds(
    Appointment,
    id=st.uuids().map(str),
    start=st.integers(-60, 60).map(lambda minutes: NOW + timedelta(minutes=minutes)),
    end=st.integers(61, 200).map(lambda minutes: NOW + timedelta(minutes=minutes)),
    subject=st.sampled_from(["", "Lunch", "Anna", "Review"]),
    show_as=st.sampled_from(ShowAs),
    sensitivity=st.sampled_from(Sensitivity),
    organizer=st.sampled_from(["hr@example.com", "anna@example.com"]),
)


@given(some_rules, some_rules, st.lists(some_appointments, max_size=4))
def test_where_it_suffices_the_stored_agenda_gives_the_note_that_a_fresh_one_would(
    old: PresenceRules, new: PresenceRules, appointments: list[Appointment]
) -> None:
    def received(appointment: Appointment, rules: PresenceRules) -> Appointment:
        """Organizers are only asked for where the rules look at them."""
        return redact(appointment if rules.exceptions else replace(appointment, organizer=""), rules)

    stored = agenda(*(received(appointment, old) for appointment in appointments))
    rank = (old.raising, old.lowering) != (new.raising, new.lowering)
    if suffices(stored, new, rank=rank):
        fresh = [received(appointment, new) for appointment in appointments]
        assert compose(stored.appointments, NOW, new) == compose(fresh, NOW, new)
