"""Colours that can be read: the seller's accent, and the stylesheet's own pairs."""

import re
from decimal import Decimal

import pytest
from django.conf import settings
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from billing.branding import (
    DARK_GROUND,
    LIGHT_GROUND,
    accents,
    contrast,
    parse,
    written,
)

STYLESHEET = (settings.BASE_DIR / "static" / "tallyport.css").read_text()
COLOR = re.compile(r"--([a-z-]+): (#[0-9a-fA-F]{6}|#fff)\b")
# Success criterion 1.4.3 of the Web Content Accessibility Guidelines 2.2, level AA.
READABLE = Decimal("4.5")
PAIRS = [
    ("ink", "ground"),
    ("ink", "surface"),
    ("ink", "sunken"),
    ("muted", "ground"),
    ("muted", "surface"),
    ("muted", "sunken"),
    ("good", "good-ground"),
    ("warn", "warn-ground"),
    ("bad", "bad-ground"),
    ("bad", "surface"),
    ("on-accent", "danger"),
]

colors = st.integers(min_value=0, max_value=0xFFFFFF).map(lambda number: f"#{number:06x}")


def palette(scheme: str) -> dict[str, str]:
    """Return the colours that the stylesheet declares for light or for dark pages."""
    light, dark = STYLESHEET.split("@media (prefers-color-scheme: dark)", 1)
    text = light if scheme == "light" else dark.split("/* Ground */")[0]
    return {name: color.replace("#fff", "#ffffff")[:7] for name, color in COLOR.findall(text)}


@given(colors)
def test_text_in_any_brand_colour_can_be_read_on_every_ground(color: str) -> None:
    shades = accents(color)

    assert contrast(parse(shades.light), LIGHT_GROUND) >= READABLE
    assert contrast(parse(shades.dark), DARK_GROUND) >= READABLE


def test_a_readable_brand_colour_stays_as_it_is() -> None:
    assert accents("#0f766e").light == "#0f766e"
    assert accents("#ffd200").dark == "#ffd200"


def test_contrast_is_that_of_the_guidelines() -> None:
    assert round(contrast((255, 255, 255), (0, 0, 0)), 2) == 21
    assert round(contrast((0x77, 0x77, 0x77), (255, 255, 255)), 2) == Decimal("4.48")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("text", "ground"), PAIRS)
def test_every_pair_of_the_stylesheet_can_be_read(scheme: str, text: str, ground: str) -> None:
    shades = palette(scheme)

    assert contrast(parse(shades[text]), parse(shades[ground])) >= READABLE


def test_the_accent_is_measured_against_the_grounds_of_the_stylesheet() -> None:
    assert palette("light")["sunken"].lower() == written(LIGHT_GROUND)
    assert palette("dark")["sunken"].lower() == written(DARK_GROUND)


def test_the_brand_stylesheet_carries_the_accent_and_may_be_cached(
    client: Client, settings: Settings
) -> None:
    settings.BRAND_COLOR = "#7c2d12"

    response = client.get("/brand.css")

    assert response["Content-Type"] == "text/css; charset=utf-8"
    assert "max-age=3600" in response["Cache-Control"]
    assert "--accent: #7c2d12" in response.text
