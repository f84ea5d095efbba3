"""The rules of the note once more, as slowly and literally as possible, to compare the engine with.

Shares nothing with the engine but the table of languages and the checked rules.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from datetime import UTC, datetime, timedelta

from shared.model import Activity, Appointment, Response, Sensitivity, ShowAs
from shared.presence import PresenceRules, languages

# PropList.txt of the Unicode Character Database, White_Space.
WHITE_SPACE = (
    "\t\n\v\f\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"
)
STRENGTH = [Activity.AVAILABLE, Activity.BUSY, Activity.AWAY, Activity.DND]
TAG = {"available": "free", "busy": "busy", "away": "away", "dnd": "busy"}


def activity_of(item: Appointment, rules: PresenceRules) -> Activity | None:
    if item.show_as == ShowAs.FREE or item.cancelled or item.response == Response.DECLINE:
        return None
    if not item.start < item.end:
        return None
    if item.show_as == ShowAs.TENTATIVE:
        for entry in rules.tentative_exception_organizers:
            if entry.strip() and entry.strip().lower() == item.organizer.lower():
                return rules.mapping.tentative_exception
    found: Activity | None = getattr(rules.mapping, item.show_as.value)
    return found


def rank_of(item: Appointment, rules: PresenceRules) -> int:
    subject = item.subject.casefold()
    for rank, entries in ((0, rules.not_prioritized), (2, rules.prioritized)):
        for entry in entries:
            if entry.strip() and entry.strip().casefold() in subject:
                return rank
    return 1


def goes_before(one: Appointment, other: Appointment, rules: PresenceRules) -> bool:
    if rank_of(one, rules) != rank_of(other, rules):
        return rank_of(one, rules) > rank_of(other, rules)
    ours, theirs = activity_of(one, rules), activity_of(other, rules)
    assert ours is not None
    assert theirs is not None
    if (ours == "available") != (theirs == "available"):
        return theirs == "available"
    if one.start != other.start:
        return one.start > other.start
    if ours != theirs:
        return STRENGTH.index(ours) > STRENGTH.index(theirs)
    if one.end != other.end:
        return one.end < other.end
    return one.id < other.id


def winner_at(agenda: list[Appointment], instant: datetime, rules: PresenceRules) -> Appointment | None:
    showing = [item for item in agenda if activity_of(item, rules) and item.start <= instant < item.end]
    showing.sort(key=functools.cmp_to_key(lambda a, b: -1 if goes_before(a, b, rules) else 1))
    return showing[0] if showing else None


def change_after(agenda: list[Appointment], now: datetime, rules: PresenceRules) -> datetime | None:
    boundaries = sorted({item.start for item in agenda} | {item.end for item in agenda})
    for boundary in boundaries:
        if boundary > now and winner_at(agenda, boundary, rules) is not winner_at(agenda, now, rules):
            return boundary
    return None


def title_of(item: Appointment, rules: PresenceRules) -> str:
    if not rules.show_subject or item.sensitivity != Sensitivity.NORMAL:
        return languages[rules.language].private
    kept = ""
    for character in item.subject:
        if character in WHITE_SPACE:
            kept += " "
        elif unicodedata.category(character) not in ("Cc", "Cs"):
            kept += character
    words = [re.sub("^#+", "", word) for word in kept.split(" ")]
    title = " ".join(word for word in words if word != "")
    if len(title) > 128:
        title = re.sub(" +$", "", title[:127]) + "…"
    return title


def note_at(agenda: list[Appointment], now: datetime, rules: PresenceRules) -> str:
    words = languages[rules.language]
    word = {"available": words.free, "busy": words.busy, "away": words.away, "dnd": words.busy}
    current = winner_at(agenda, now, rules)
    until = change_after(agenda, now, rules)
    if until is None:
        return words.free
    following = winner_at(agenda, until, rules)
    activity = (activity_of(current, rules) if current else None) or Activity.AVAILABLE
    title = title_of(current, rules) if current else ""
    if following is not None and following.start == until:
        whole_day = following.all_day
    else:
        whole_day = current is not None and current.all_day
    wall = until.astimezone(rules.zone).replace(tzinfo=None)
    today = now.astimezone(rules.zone).replace(tzinfo=None)
    day = words.date.replace("dd", "%d").replace("MM", "%m").replace("yyyy", "%Y")
    clock = "%H:%M" if words.clock == 24 else "%I:%M " + ("p.m." if wall.hour >= 12 else "a.m.")
    if whole_day:
        when = (wall + timedelta(hours=12)).strftime(day)
    elif wall.date() == today.date():
        when = wall.strftime(clock)
    else:
        when = wall.strftime(f"{day} {clock}")
    sentence = words.until.format(title or word[activity], when)
    shows_next = following is not None and activity == "available"
    tags = f" #{TAG[activity]}"
    if title:
        tags += f" #len:{len(title)}:{len(title.encode('utf-8'))}"
    seconds = round((until - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())
    tags += f" #until:{seconds * 1000 if rules.until_unit == 'ms' else seconds}"
    if whole_day:
        tags += " #whole-day"
    if shows_next:
        assert following is not None
        next_activity = activity_of(following, rules)
        next_title = title_of(following, rules)
        assert next_activity is not None
        tags += f" #next-activity:{TAG[next_activity]}"
        if next_title:
            before = sentence + (" (" if next_activity == "available" else f" ({word[next_activity]}: ")
            sentence = f"{before}{next_title})"
            sizes = len(before), len(next_title), len(before.encode()), len(next_title.encode())
            tags += " #next:" + ":".join(map(str, sizes))
        else:
            sentence += f" ({word[next_activity]})"
    return sentence + tags
