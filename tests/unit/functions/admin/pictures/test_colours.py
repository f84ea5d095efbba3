"""The pictures' colours in the style sheet, for light and for dark: to be told apart, and read.

Source: WCAG 2.2, 1.4.3 (text 4.5:1), 1.4.11 (graphics 3:1), and its definitions of contrast and luminance.
"""

from __future__ import annotations

import re

import pytest

from functions.admin.assets import FOLDER
from functions.admin.day import SERIES
from functions.admin.pictures.timeline import LANES

SHEET = (FOLDER / "admin.css").read_text("utf-8")
LIGHT, DARK = (dict(re.findall(r"(--[\w-]+): (#\w{6});", part)) for part in SHEET.split("@media", 2)[:2])
HUES = {
    name: hue
    for names, hue in re.findall(r"^\.picture (.+) \{ --hue: var\((--\w+)\); \}$", SHEET, re.MULTILINE)
    for name in re.findall(r"\.(\w+)", names)
}
SCHEMES = pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])

type Colour = tuple[float, ...]


def colour(text: str) -> Colour:
    return tuple(int(text[place : place + 2], 16) / 255 for place in (1, 3, 5))


def mix(over: Colour, under: Colour, opacity: float) -> Colour:
    return tuple(opacity * a + (1 - opacity) * b for a, b in zip(over, under, strict=True))


def luminance(of: Colour) -> float:
    linear = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in of)
    return sum(share * part for share, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: Colour, other: Colour) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_as_wcag_has_it() -> None:
    assert contrast(colour("#000000"), colour("#ffffff")) == pytest.approx(21)
    assert contrast(colour("#b26a00"), colour("#ffffff")) == pytest.approx(4.24, abs=0.01)


def test_everything_that_is_drawn_has_a_hue() -> None:
    assert HUES.keys() == LANES.keys() | SERIES.keys()
    assert len({HUES[lane] for lane in LANES}) == len(LANES)


@pytest.mark.parametrize("activity", sorted(LANES.keys() - {"ignored"}))
def test_an_activity_has_the_hue_of_its_badge(activity: str) -> None:
    assert re.search(rf"\.badge\.{activity} \{{[^}}]*[ ;]color: var\({HUES[activity]}\)", SHEET)


@SCHEMES
@pytest.mark.parametrize("name", sorted(HUES))
def test_a_fill_stands_out_and_what_is_written_on_it_is_read(name: str, colours: dict[str, str]) -> None:
    hue, surface = colour(colours[HUES[name]]), colour(colours["--surface"])
    assert ".picture .on-hue { fill: var(--surface); }" in SHEET
    assert contrast(hue, surface) >= 4.5, "text on the fill; more than the 3 of the fill itself"


@SCHEMES
@pytest.mark.parametrize("lane", LANES)
def test_what_is_written_on_an_appointment_that_loses_is_read(lane: str, colours: dict[str, str]) -> None:
    [opacity] = re.findall(r"^\.picture \.bar \{ fill-opacity: ([\d.]+);", SHEET, re.MULTILINE)
    ground = mix(colour(colours[HUES[lane]]), colour(colours["--surface"]), float(opacity))
    assert contrast(colour(colours["--text"]), ground) >= 4.5
