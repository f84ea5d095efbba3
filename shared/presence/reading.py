"""From a note back to a sentence, in the reader's own language and time zone.

Reads what innovaphone's client library ``innovaphone.presence`` (14r2) reads.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from shared.model import Activity
from shared.presence.clock import EPOCH, to_utc
from shared.presence.note import write_until
from shared.presence.rules import find_language, find_zone

_ACTIVITIES = {"free": Activity.AVAILABLE, "busy": Activity.BUSY, "away": Activity.AWAY}
_NUMBER = re.compile(r"[0-9]{1,18}(?![0-9])")
_MOST_SECONDS = 10**11
"""An ``until`` above this counts milliseconds."""


@dataclass(frozen=True, slots=True)
class ParsedNote:
    """What a note says.

    ``plain`` are the words outside the tags, which a client shows when nothing else is there. ``title`` and
    ``next_title`` are empty where the activity's word stands in their place; *do not disturb* reads as busy.
    ``until`` is in UTC.
    """

    plain: str
    activity: Activity | None = None
    title: str = ""
    until: datetime | None = None
    whole_day: bool = False
    next_activity: Activity | None = None
    next_title: str = ""


def read(note: str) -> ParsedNote:
    """Read any string as a note; a tag that makes no sense is passed over, what has no tags is plain text."""
    plain: list[str] = []
    tags: dict[str, str] = {}
    for word in note.split(" "):
        if word.startswith("##"):
            plain.append(word[1:])
        elif word.startswith("#"):
            name, _, value = word[1:].partition(":")
            tags[name] = value
        else:
            plain.append(word)
    activity = next((meant for name, meant in _ACTIVITIES.items() if name in tags), None)
    announces = "next-activity" in tags
    return ParsedNote(
        plain=" ".join(plain).lstrip(" "),
        activity=activity,
        title=_cut(note, "0:" + tags.get("len", "")),
        until=_read_until(tags.get("until", "")),
        whole_day="whole-day" in tags,
        next_activity=_ACTIVITIES.get(tags.get("next-activity", "")),
        next_title=_cut(note, tags.get("next", "")) if announces else "",
    )


def render(parsed: ParsedNote, language: str, zone: ZoneInfo, now: datetime) -> str:
    """Write a parsed note as the sentence somebody with this language and zone reads at ``now`` (aware).

    Raises FieldError for an unknown language and ValueError when ``now`` has no zone.
    """
    spoken = find_language(language)
    now = to_utc(now)
    text = parsed.title or (parsed.plain if parsed.activity is None else spoken.words[parsed.activity])
    if parsed.until is not None:
        when = write_until(parsed.until, now, spoken, zone, whole_day=parsed.whole_day)
        text += spoken.joint + when + spoken.tail
    word = "" if parsed.next_activity is None else spoken.words[parsed.next_activity]
    if parsed.next_title and parsed.next_activity in (None, Activity.AVAILABLE):
        text += f" ({parsed.next_title})"
    elif parsed.next_title:
        text += f" ({word}: {parsed.next_title})"
    elif word:
        text += f" ({word})"
    return text


def view(note: str, at: datetime, language: str, timezone: str) -> str:
    """Give the sentence that a viewer with this language and time zone (IANA name) reads at ``at`` (aware).

    Raises FieldError for an unknown language or zone and ValueError when ``at`` has no zone.
    """
    return render(read(note), language, find_zone(timezone), at)


def _cut(note: str, bounds: str) -> str:
    """Cut out what ``position:length`` points at, in characters; nothing if it isn't that."""
    position, length = [_NUMBER.match(part) for part in f"{bounds}:".split(":")[:2]]
    if position is None or length is None:
        return ""
    start = int(position[0])
    return note[start : start + int(length[0])]


def _read_until(value: str) -> datetime | None:
    number = _NUMBER.match(value)
    if number is None:
        return None
    count = int(number[0])
    unit = timedelta(milliseconds=1) if count > _MOST_SECONDS else timedelta(seconds=1)
    try:
        return EPOCH + count * unit
    except OverflowError:
        return None
