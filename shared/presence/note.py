"""The note itself: sentence and tags.

Follows the grammar of innovaphone's wiki, *Concept App Service Calendar* (13r3), and, where that differs,
the client library ``innovaphone.presence`` (14r2), which is what phones and myApps show.
"""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from shared.model import Activity, Presence
from shared.presence.clock import find_nearest_day, to_local, to_milliseconds
from shared.presence.languages import Language
from shared.presence.precedence import Candidate
from shared.presence.rules import PresenceRules
from shared.presence.subject import find_title

WHOLE_DAY = "#whole-day"

_TAGS = {
    Activity.AVAILABLE: "free",
    Activity.BUSY: "busy",
    Activity.AWAY: "away",
    Activity.DND: "busy",
}


def write(
    current: Candidate | None,
    until: datetime | None,
    following: Candidate | None,
    now: datetime,
    rules: PresenceRules,
) -> Presence:
    """Write the presence for one moment.

    ``current`` shows at ``now`` (None: nobody), ``following`` from ``until`` on (None: nobody). ``until`` is
    None only when nobody shows any more. Instants are UTC.
    """
    language = rules.words
    if until is None:
        return Presence(Activity.AVAILABLE, language.free, None)
    activity = Activity.AVAILABLE if current is None else current.activity
    whole_day = _ends_with_a_day(current, until, following)
    title = "" if current is None else find_title(current.appointment, rules)
    when = write_until(until, now, language, rules.zone, whole_day=whole_day)
    text = (title or language.words[activity]) + language.joint + when + language.tail

    tags = " #" + _TAGS[activity]
    if title:
        tags += f" #len:{len(title)}:{len(title.encode())}"
    count = to_milliseconds(until)
    tags += f" #until:{count if rules.until_unit == 'ms' else count // 1000}"
    if whole_day:
        tags += " " + WHOLE_DAY
    if following is not None and activity is Activity.AVAILABLE:
        tags += " #next-activity:" + _TAGS[following.activity]
        word = language.words[following.activity]
        next_title = find_title(following.appointment, rules)
        if next_title:
            text += f" ({word}: " if following.activity is not Activity.AVAILABLE else " ("
            tags += f" #next:{len(text)}:{len(next_title)}:{len(text.encode())}:{len(next_title.encode())}"
            text += next_title + ")"
        else:
            text += f" ({word})"
    return Presence(activity, text + tags, until)


def write_until(
    until: datetime, now: datetime, language: Language, zone: ZoneInfo, *, whole_day: bool
) -> str:
    """Write until when: the date alone, or the time, with its date unless that is today.

    The date alone is the one nearest to the instant, because an all-day boundary is midnight where the
    appointment was made, not always here.
    """
    if whole_day:
        return language.write_date(find_nearest_day(until, zone))
    local = to_local(until, zone)
    clock = language.write_time(local.time())
    if local.date() == to_local(now, zone).date():
        return clock
    return f"{language.write_date(local)} {clock}"


def _ends_with_a_day(current: Candidate | None, until: datetime, following: Candidate | None) -> bool:
    if following is not None and following.appointment.start == until:
        return following.appointment.all_day
    return current is not None and current.appointment.all_day
