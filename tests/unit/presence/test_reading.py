"""Notes as a client reads them: those of the PBX, those of others, and broken ones."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from shared.model import Activity
from shared.presence import FieldError, ParsedNote, PresenceRules, compose, read, render, view
from tests.unit.presence.agendas import appoint, at

BERLIN = ZoneInfo("Europe/Berlin")
NOW = at("06:00")
UNTIL = at("08:30")


@pytest.mark.parametrize(
    ("note", "parsed"),
    [
        ("", {}),
        ("Back at 16:00", {"plain": "Back at 16:00"}),
        ("  two  spaces ", {"plain": "two  spaces "}),
        ("  Xmas", {"plain": "Xmas"}),
        (" \tx", {"plain": "\tx"}),
        ("a\tb\n#c", {"plain": "a\tb\n#c"}),
        ("##1 and ###2 ##", {"plain": "#1 and ##2 #"}),
        ("a #b c", {"plain": "a c"}),
        ("#b c", {"plain": "c"}),
        ("# #: #:x #unknown:1", {}),
        ("Free #free", {"plain": "Free", "activity": Activity.AVAILABLE}),
        ("x #busy:1", {"plain": "x", "activity": Activity.BUSY}),
        ("x #away", {"plain": "x", "activity": Activity.AWAY}),
        ("x #dnd #Busy", {"plain": "x"}),
        ("x #away #busy #free", {"plain": "x", "activity": Activity.AVAILABLE}),
        ("x #away #busy", {"plain": "x", "activity": Activity.BUSY}),
        ("Über x #len:4:5", {"plain": "Über x", "title": "Über"}),
        ("Über x #len:4", {"plain": "Über x", "title": "Über"}),
        ("##1 x #len:3", {"plain": "#1 x", "title": "##1"}),
        ("Über x #len:4 #len:6", {"plain": "Über x", "title": "Über x"}),
        ("Über x #len:4px:5", {"plain": "Über x", "title": "Über"}),
        ("Über #len:99", {"plain": "Über", "title": "Über #len:99"}),
        ("Über #len", {"plain": "Über"}),
        ("Über #len:", {"plain": "Über"}),
        ("Über #len:0", {"plain": "Über"}),
        ("Über #len:-1", {"plain": "Über"}),
        ("Über #len:x", {"plain": "Über"}),
        ("Über #len:٣", {"plain": "Über"}),
        ("#until:1503304200000", {"until": UNTIL}),
        ("#until:1503304200", {"until": UNTIL}),
        ("#until:1503304200:1", {"until": UNTIL}),
        ("#until:1 #until:1503304200", {"until": UNTIL}),
        ("#until:0", {"until": at("1970-01-01T00:00")}),
        ("#until:100000000000", {"until": at("5138-11-16T09:46:40")}),
        ("#until:100000000001", {"until": at("1973-03-03T09:46:40.001")}),
        ("#until:253402300799999", {"until": at("9999-12-31T23:59:59.999")}),
        ("#until:253402300800000", {}),
        ("#until:999999999999999999", {}),
        ("#until:1503304200000000000000", {}),
        ("#until:0000000001503304200", {}),
        ("#until:-1", {}),
        ("#until:", {}),
        ("#until", {}),
        ("#until:soon", {}),
        ("#whole-day", {"whole_day": True}),
        ("#whole-day:1", {"whole_day": True}),
        ("#wholeday", {}),
        (
            "(Busy: Ü) #next-activity:busy #next:7:1:7:2",
            {"plain": "(Busy: Ü)", "next_activity": Activity.BUSY, "next_title": "Ü"},
        ),
        (
            "(Busy: Ü) #next-activity:away #next:7:1",
            {"plain": "(Busy: Ü)", "next_activity": Activity.AWAY, "next_title": "Ü"},
        ),
        ("x #next-activity:free", {"plain": "x", "next_activity": Activity.AVAILABLE}),
        ("x #next-activity:dnd #next:0:1", {"plain": "x", "next_title": "x"}),
        ("x #next-activity #next:0:1", {"plain": "x", "next_title": "x"}),
        ("x #next:0:1", {"plain": "x"}),
        ("x #next-activity:busy #next:0", {"plain": "x", "next_activity": Activity.BUSY}),
        ("x #next-activity:busy #next::1", {"plain": "x", "next_activity": Activity.BUSY}),
        ("x #next-activity:busy #next:99:1", {"plain": "x", "next_activity": Activity.BUSY}),
        ("x #next-activity:busy #next:-1:1", {"plain": "x", "next_activity": Activity.BUSY}),
    ],
)
def test_a_note_says_what_its_tags_and_words_say(note: str, parsed: dict[str, Any]) -> None:
    assert read(note) == ParsedNote(**{"plain": ""} | parsed)


FREE = "Free until 10:30 (Busy: Meeting) #free #until:1503304200000 #next-activity:busy #next:24:7:24:7"
DAY = "Christmas until 27.12.2017 #busy #len:9:9 #until:1514329200000 #whole-day"


@pytest.mark.parametrize(
    ("note", "language", "zone", "sentence"),
    [
        (FREE, "de", "Europe/Berlin", "Frei bis 10:30 (Beschäftigt: Meeting)"),
        (FREE, "eu", "Europe/Berlin", "Librea 10:30 arte (Okupatua: Meeting)"),
        (FREE, "en-US", "America/New_York", "Free until 04:30 a.m. (Busy: Meeting)"),
        (FREE, "ru", "Pacific/Kiritimati", "Свободен до 22:30 (Занят: Meeting)"),
        (FREE, "fr", "Pacific/Pago_Pago", "Disponible jusque 21:30 (Occupé: Meeting)"),
        (
            FREE.replace("1503304200000", "1503390600"),
            "nl",
            "UTC",
            "Beschikbaar tot 22/08/2017 08:30 (Bezig: Meeting)",
        ),
        (DAY, "de", "Europe/Berlin", "Christmas bis 27.12.2017"),
        (DAY, "en-US", "America/New_York", "Christmas until 12/27/2017"),
        (DAY, "sv", "Asia/Tokyo", "Christmas till 27/12/2017"),
        (DAY, "sv", "Pacific/Kiritimati", "Christmas till 28/12/2017"),
        ("Lunch", "de", "UTC", "Lunch"),
        ("Lunch #until:1503304200", "de", "UTC", "Lunch bis 08:30"),
        ("Away #away #until:1503304200", "pl", "UTC", "Nieobecny(a) do 08:30"),
        ("Away #away", "cs", "UTC", "Nepřítomný"),
        ("x #busy #next-activity:free #next:0:1", "es", "UTC", "Ocupado (x)"),
        ("x #busy #next-activity:free", "es", "UTC", "Ocupado (Libre)"),
        ("x #busy #next-activity:away", "it", "UTC", "Occupato (Assente)"),
        ("x #busy #next-activity:lunch #next:0:1", "it", "UTC", "Occupato (x)"),
        ("x #busy #next-activity:lunch", "it", "UTC", "Occupato"),
        ("Soon #until:253402300799999", "en", "Asia/Tokyo", "Soon until 31.12.9999 23:59"),
    ],
)
def test_a_reader_sees_their_own_language_and_zone(
    note: str, language: str, zone: str, sentence: str
) -> None:
    assert render(read(note), language, ZoneInfo(zone), NOW) == sentence


def test_today_is_the_readers() -> None:
    note = read("x #until:1503360000")

    assert render(note, "en", BERLIN, at("21:59")) == "x until 22.08.2017 02:00"
    assert render(note, "en", BERLIN, at("22:00")) == "x until 02:00"
    assert render(note, "en", BERLIN, at("22:00").astimezone(ZoneInfo("Asia/Tokyo"))) == "x until 02:00"


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(FieldError, match=r"^language: 'xx' is not known"):
        render(read("x"), "xx", BERLIN, NOW)


def test_an_instant_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^an instant without a time zone$"):
        render(read("x"), "en", BERLIN, NOW.replace(tzinfo=None))


def test_a_viewer_reads_a_note_in_their_own_language_and_zone() -> None:
    rules = PresenceRules(timezone="Europe/Berlin")
    note = compose([appoint("08:30", "09:30")], NOW, rules).note
    assert view(note, NOW, "de", "Europe/Berlin") == "Frei bis 10:30 (Beschäftigt: Meeting)"
    assert view(note, NOW, "en-US", "America/New_York") == "Free until 04:30 a.m. (Busy: Meeting)"
    assert view(note, NOW, "fr", "Pacific/Kiritimati") == "Disponible jusque 22:30 (Occupé: Meeting)"


@pytest.mark.parametrize(("language", "zone"), [("tlh", "UTC"), ("en", "Europe/Nowhere")])
def test_a_viewer_without_a_language_or_zone_that_exists_is_refused(language: str, zone: str) -> None:
    with pytest.raises(FieldError):
        view("Free", NOW, language, zone)
