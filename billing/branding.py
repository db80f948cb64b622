"""The seller's colour, made readable: one accent for light pages and one for dark ones."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

type Rgb = tuple[int, int, int]

# The least readable backgrounds of static/tallyport.css that text of the accent stands on.
LIGHT_GROUND: Rgb = (0xEC, 0xEF, 0xEB)
DARK_GROUND: Rgb = (0x1F, 0x29, 0x27)
WHITE: Rgb = (255, 255, 255)
BLACK: Rgb = (0, 0, 0)
# WCAG 2.2, success criterion 1.4.3.
LEAST_CONTRAST = Decimal("4.5")
STEPS = 20


@dataclass(frozen=True, slots=True)
class Accents:
    """The colour on light and on dark pages, as #rrggbb."""

    light: str
    dark: str


def accents(color: str) -> Accents:
    """Return the nearest shades of `color` (#rrggbb) that text can be written in.

    Each has a contrast of at least 4.5 to its ground; a colour that has it already stays.
    """
    rgb = parse(color)
    return Accents(
        light=written(first_readable(shades(rgb, BLACK), LIGHT_GROUND)),
        dark=written(first_readable(shades(rgb, WHITE), DARK_GROUND)),
    )


def parse(color: str) -> Rgb:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def written(rgb: Rgb) -> str:
    return "#{:02x}{:02x}{:02x}".format(*rgb)


def shades(start: Rgb, end: Rgb) -> Iterable[Rgb]:
    """Yield `start`, then colours ever nearer to `end`, then `end`."""
    for step in range(STEPS + 1):
        red, green, blue = (a + (b - a) * step // STEPS for a, b in zip(start, end, strict=True))
        yield red, green, blue


def first_readable(candidates: Iterable[Rgb], ground: Rgb) -> Rgb:
    return next(rgb for rgb in candidates if contrast(rgb, ground) >= LEAST_CONTRAST)


def contrast(one: Rgb, other: Rgb) -> Decimal:
    """Return the contrast ratio of two colours as WCAG 2.2 defines it, from 1 to 21."""
    brighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    offset = Decimal("0.05")
    return (brighter + offset) / (darker + offset)


def luminance(rgb: Rgb) -> Decimal:
    """Return the relative luminance as WCAG 2.2 defines it."""
    weights = Decimal("0.2126"), Decimal("0.7152"), Decimal("0.0722")
    return sum(
        (weight * linear(channel) for weight, channel in zip(weights, rgb, strict=True)), Decimal(0)
    )


def linear(channel: int) -> Decimal:
    share = Decimal(channel) / 255
    if share <= Decimal("0.04045"):
        return share / Decimal("12.92")
    return Decimal((share + Decimal("0.055")) / Decimal("1.055")) ** Decimal("2.4")
