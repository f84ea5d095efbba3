"""The words, dates and clocks of every language a note can be written or read in.

The words are those of innovaphone's client library (``innovaphone.presence``, 14r2); the word for a
private appointment is this project's own, because none is published.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field, replace

from shared.model import Activity


@dataclass(frozen=True, slots=True)
class Language:
    """One row of the table.

    ``until`` joins a text ``{0}`` and a time ``{1}``. ``date`` is spelt with ``dd``, ``MM`` and ``yyyy``.
    ``clock`` is 24 or 12 hours. ``name`` is the language's name in itself, for lists.
    """

    code: str
    name: str
    free: str
    busy: str
    away: str
    private: str
    until: str
    date: str
    clock: int = 24
    joint: str = field(init=False, repr=False, compare=False)
    """What stands between the text and the time."""
    tail: str = field(init=False, repr=False, compare=False)
    """What stands behind the time."""
    words: dict[Activity, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        joint, tail = self.until.removeprefix("{0}").split("{1}")
        object.__setattr__(self, "joint", joint)
        object.__setattr__(self, "tail", tail)
        words = {
            Activity.AVAILABLE: self.free,
            Activity.BUSY: self.busy,
            Activity.AWAY: self.away,
            Activity.DND: self.busy,
        }
        object.__setattr__(self, "words", words)

    def write_date(self, day: dt.date) -> str:
        """Write a date with all its digits, ``24.12.2017``."""
        return (
            self.date.replace("dd", f"{day.day:02}")
            .replace("MM", f"{day.month:02}")
            .replace("yyyy", f"{day.year:04}")
        )

    def write_time(self, clock: dt.time) -> str:
        """Write the hours and minutes of a wall clock, ``14:00`` or ``02:00 p.m.``; seconds are cut."""
        if self.clock == 24:
            return f"{clock.hour:02}:{clock.minute:02}"
        half = "a.m." if clock.hour < 12 else "p.m."
        return f"{clock.hour % 12 or 12:02}:{clock.minute:02} {half}"


_DOTS = "dd.MM.yyyy"
_SLASHES = "dd/MM/yyyy"

_ENGLISH = Language("en", "English", "Free", "Busy", "Away", "Private", "{0} until {1}", _DOTS)

# fmt: off
_TABLE = (
    _ENGLISH,
    replace(_ENGLISH, code="en-GB", name="English (United Kingdom)", date=_SLASHES),
    replace(_ENGLISH, code="en-US", name="English (United States)", date="MM/dd/yyyy", clock=12),
    Language("de", "Deutsch", "Frei", "Beschäftigt", "Abwesend", "Privat", "{0} bis {1}", _DOTS),
    Language("fr", "Français", "Disponible", "Occupé", "Absent", "Privé", "{0} jusque {1}", _SLASHES),
    Language("it", "Italiano", "Libero", "Occupato", "Assente", "Privato", "{0} fino {1}", _SLASHES),
    Language("es", "Español", "Libre", "Ocupado", "Ausente", "Privado", "{0} hasta {1}", _SLASHES),
    Language("nl", "Nederlands", "Beschikbaar", "Bezig", "Afwezig", "Privé", "{0} tot {1}", _SLASHES),
    Language("pt", "Português", "Disponível", "Ocupado", "Ausente", "Privado", "{0} até {1}", _SLASHES),
    Language("pl", "Polski", "Wolny(a)", "Zajęty(a)", "Nieobecny(a)", "Prywatne", "{0} do {1}", _DOTS),
    Language("cs", "Čeština", "Volný", "Obsazeno", "Nepřítomný", "Soukromé", "{0} do {1}", _DOTS),
    Language("ru", "Русский", "Свободен", "Занят", "Отсутствует", "Личное", "{0} до {1}", _DOTS),
    Language("sl", "Slovenščina", "Prost", "Zaseden", "Odsoten", "Zasebno", "{0} do {1}", _DOTS),
    Language("sv", "Svenska", "Tillgänglig", "Upptagen", "Frånvarande", "Privat", "{0} till {1}", _SLASHES),
    Language("ca", "Català", "Lliure", "Ocupat", "Absent", "Privat", "{0} fins {1}", _SLASHES),
    Language("eu", "Euskara", "Librea", "Okupatua", "Ez dago", "Pribatua", "{0} {1} arte", _SLASHES),
)
# fmt: on

languages: dict[str, Language] = {language.code: language for language in _TABLE}
"""Every language by its code, in the order of a list."""
