"""What a phone or myApps shows of a presence note.

A reader of its own, after the rules by which innovaphone's client library ``innovaphone.presence``
(SDK 14r1, 14r2) reads a note. It knows two of that library's languages.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

WORDS = {
    "en": {"free": "Free", "busy": "Busy", "away": "Away", "until": "{0} until {1}"},
    "de": {"free": "Frei", "busy": "Beschäftigt", "away": "Abwesend", "until": "{0} bis {1}"},
}
FIRST_MILLISECONDS = 10**11


@dataclass(frozen=True, slots=True)
class Viewer:
    """Whoever looks at the display. Raises KeyError for a language or a time zone it does not know."""

    language: str = "en"
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        if self.language not in WORDS:
            raise KeyError(self.language)
        ZoneInfo(self.timezone)

    def read(self, note: str, now: datetime) -> str:
        """Give the sentence that the display shows for ``note`` at the instant ``now`` (aware)."""
        words = [word for word in note.split(" ") if not _is_tag(word)]
        tags = dict(word[1:].partition(":")[::2] for word in note.split(" ") if _is_tag(word))
        own = WORDS[self.language]
        plain = " ".join(word.replace("##", "#", 1) if word.startswith("##") else word for word in words)
        length = _numbers(tags.get("len", ""))
        state = next((name for name in ("free", "busy", "away") if name in tags), "")
        text = note[: length[0]] if length else own[state] if state else plain.strip()
        until = _numbers(tags.get("until", ""))
        if until:
            when = self._when(until[0], now, "whole-day" in tags)
            text = own["until"].format(text, when) if when else text
        following = tags.get("next-activity", "")
        if following in ("free", "busy", "away"):
            text += f" ({self._next(note, following, _numbers(tags.get('next', '')))})"
        return text

    def _when(self, until: int, now: datetime, whole_day: bool) -> str:
        zone = ZoneInfo(self.timezone)
        try:
            instant = datetime.fromtimestamp(until / 1000 if until > FIRST_MILLISECONDS else until, UTC)
            local = instant.astimezone(zone)
            if whole_day:
                return f"{local + timedelta(hours=12):%d.%m.%Y}"
        except (OverflowError, ValueError, OSError):
            return ""
        same_day = local.date() == now.astimezone(zone).date()
        return f"{local:%H:%M}" if same_day else f"{local:%d.%m.%Y %H:%M}"

    def _next(self, note: str, activity: str, place: list[int]) -> str:
        word = WORDS[self.language][activity]
        title = note[place[0] : place[0] + place[1]] if len(place) >= 2 else ""
        if not title:
            return word
        return title if activity == "free" else f"{word}: {title}"


def _is_tag(word: str) -> bool:
    return word.startswith("#") and not word.startswith("##")


def _numbers(value: str) -> list[int]:
    return (
        [int(part) for part in value.split(":")] if re.fullmatch(r"[0-9]{1,18}(:[0-9]{1,18})*", value) else []
    )
