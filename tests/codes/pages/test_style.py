"""The style sheet: every colour can be read on what it stands on, light and dark."""

import re

import pytest
from django.conf import settings

FRAME, PUBLIC, ADMIN = (
    (settings.STATICFILES_DIRS[0] / name).read_text(encoding="utf-8")
    for name in ("frame.css", "portal.css", "admin-portal.css")
)
CSS = FRAME + PUBLIC
TEXT_COLOURS = ("ink", "soft", "accent", "c1", "c2", "c3", "c4", "c5", "stroom", "warn", "good", "bad")
GROUNDS = ("paper", "sheet", "shade")


def variables(scheme: str) -> dict[str, str]:
    pairs = re.findall(r"--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\);", FRAME)
    return {name: light if scheme == "light" else dark for name, light, dark in pairs}


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast_aa_on_every_ground(scheme: str) -> None:
    colours = variables(scheme)
    pairs = [(text, ground) for text in TEXT_COLOURS for ground in GROUNDS]
    pairs += [("accent-ink", "accent"), ("ink", "code-paper"), ("ink", "warn-paper"), ("accent", "warn-paper")]
    weak = {pair: round(contrast(colours[pair[0]], colours[pair[1]]), 2) for pair in pairs}
    assert {pair: ratio for pair, ratio in weak.items() if ratio < 4.5} == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_borders_of_controls_can_be_seen(scheme: str) -> None:
    colours = variables(scheme)
    assert contrast(colours["line-strong"], colours["sheet"]) >= 3
    assert contrast(colours["line-strong"], colours["paper"]) >= 3


def test_the_dark_scheme_sets_every_colour() -> None:
    light, dark = variables("light"), variables("dark")
    assert {name for name in light if light[name] == dark[name]} == set()


def test_the_style_sheet_asks_nobody_else() -> None:
    assert "url(" not in CSS + ADMIN
    assert "@import" not in CSS + ADMIN


def test_colours_of_both_halves_come_from_one_file() -> None:
    assert len(variables("light")) > 18
    assert re.findall(r"--(?:paper|sheet|ink|soft|accent|line): ", PUBLIC.split("@media print")[0] + ADMIN) == []


def test_motion_is_off_for_those_who_asked_for_less() -> None:
    guarded = CSS.split("@media (prefers-reduced-motion: no-preference)")[1]
    assert "scroll-behavior" in guarded
    assert "scroll-behavior" not in CSS.split("@media (prefers-reduced-motion: no-preference)")[0]
    assert "transition" not in CSS
    assert "animation" not in CSS
