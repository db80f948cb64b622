"""Which characters the fonts here can print: those bundled, and those of this machine.

What none of them has would be left blank on a document. Fontconfig knows, which is what the making
of a PDF asks as well.
"""

import ctypes
import ctypes.util
import unicodedata
from functools import cache
from typing import Any

from billing.pdf import FONTS

STAND_IN = "?"
# Control and format characters, marks, separators: they have no glyph of their own to miss.
WITHOUT_GLYPH = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Me", "Mn", "Mc", "Zl", "Zp", "Zs"})
# Scripts that customers' names are written in, by a character of each, and what prints them.
SCRIPTS = {
    "Chinese": ("请", "fonts-noto-cjk"),
    "Japanese": ("あ", "fonts-noto-cjk"),
    "Korean": ("한", "fonts-noto-cjk"),
    "Arabic": ("ع", "fonts-dejavu-core"),
    "Hebrew": ("ש", "fonts-dejavu-core"),
}


class FontSet(ctypes.Structure):
    _fields_ = (
        ("count", ctypes.c_int),
        ("room", ctypes.c_int),
        ("fonts", ctypes.c_void_p),
    )


@cache
def fontconfig() -> Any:
    """Return the library with the bundled fonts added to the machine's, or None without it."""
    name = ctypes.util.find_library("fontconfig") or "libfontconfig.so.1"
    try:
        library = ctypes.CDLL(name)
    except OSError:
        return None
    for made in ("FcPatternCreate", "FcCharSetCreate", "FcObjectSetCreate"):
        getattr(library, made).restype = ctypes.c_void_p
    library.FcFontList.restype = ctypes.POINTER(FontSet)
    for path in FONTS.glob("*.ttf"):
        library.FcConfigAppFontAddFile(None, str(path).encode())
    return library


@cache
def has_glyph(character: str) -> bool:
    """Say whether a font has a character; yes, where nobody can say."""
    library = fontconfig()
    if library is None:
        return True
    pattern = ctypes.c_void_p(library.FcPatternCreate())
    characters = ctypes.c_void_p(library.FcCharSetCreate())
    nothing = ctypes.c_void_p(library.FcObjectSetCreate())
    library.FcCharSetAddChar(characters, ctypes.c_uint32(ord(character)))
    library.FcPatternAddCharSet(pattern, b"charset", characters)
    found = library.FcFontList(None, pattern, nothing)
    count = found.contents.count
    library.FcFontSetDestroy(found)
    library.FcObjectSetDestroy(nothing)
    library.FcCharSetDestroy(characters)
    library.FcPatternDestroy(pattern)
    return bool(count)


def missing_from(text: str) -> set[str]:
    """Return the characters of a text that no font here can print."""
    visible = {each for each in set(text) if unicodedata.category(each) not in WITHOUT_GLYPH}
    return {each for each in visible if not has_glyph(each)}


def missing_scripts() -> dict[str, str]:
    """Return the scripts that cannot be printed here, each with a Debian package that has it."""
    return {
        script: package for script, (sample, package) in SCRIPTS.items() if missing_from(sample)
    }
