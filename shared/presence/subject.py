"""From the subject that an organizer typed to the title that colleagues read."""

from __future__ import annotations

from dataclasses import replace

from shared.model import Appointment, Sensitivity
from shared.presence.mapping import find_activity
from shared.presence.rules import PresenceRules

LONGEST_TITLE = 128
"""In characters."""

_SPACES = frozenset(range(0x09, 0x0E)) | {0x85}
_CONTROLS = (frozenset(range(0x20)) | frozenset(range(0x7F, 0xA0))) - _SPACES
_SURROGATES = range(0xD800, 0xE000)
_REMOVED: dict[int, None] = dict.fromkeys([*_CONTROLS, *_SURROGATES])


def clean(subject: str) -> str:
    """Make a subject fit for a note: one line, no tags, at most 128 characters; maybe empty.

    Controls go before white space is looked at: ``str.split`` takes U+001C to U+001F for white space,
    Unicode's White_Space doesn't.
    """
    if not subject.isprintable():
        subject = subject.translate(_REMOVED)
    words = subject.split()
    if "#" in subject:
        # A client takes a word that begins with # for a tag.
        words = [bare for word in words if (bare := word.lstrip("#"))]
    title = " ".join(words)
    if len(title) > LONGEST_TITLE:
        title = title[: LONGEST_TITLE - 1].rstrip() + "…"
    return title


def is_hidden(appointment: Appointment, rules: PresenceRules) -> bool:
    """Tell whether the private word stands in the place of the subject.

    It does too where a subject was dropped while it was hidden, even if the rules have changed since.
    """
    return (
        not rules.show_subject
        or appointment.sensitivity is not Sensitivity.NORMAL
        or (appointment.rank is not None and not appointment.subject)
    )


def find_title(appointment: Appointment, rules: PresenceRules) -> str:
    """Give the title a note shows; empty when the activity's word has to stand in."""
    if is_hidden(appointment, rules):
        return rules.words.private
    return clean(appointment.subject)


def find_rank(appointment: Appointment, rules: PresenceRules) -> int:
    """Rank an appointment by the words in its subject as received: 2 first, 0 last, else 1."""
    if appointment.rank is not None:
        return appointment.rank
    if not rules.lowering and not rules.raising:
        return 1
    subject = appointment.subject.casefold()
    if any(entry in subject for entry in rules.lowering):
        return 0
    if any(entry in subject for entry in rules.raising):
        return 2
    return 1


def redact(appointment: Appointment, rules: PresenceRules) -> Appointment:
    """Drop a subject that will not be shown and keep its rank: this is what may be stored.

    A subject is not shown where it is hidden, and where the appointment never shows at all. The notes of
    redacted and unredacted appointments are the same.
    """
    if not is_hidden(appointment, rules) and find_activity(appointment, rules) is not None:
        return appointment
    return replace(appointment, subject="", rank=find_rank(appointment, rules))
