"""Pages as people read them."""

import re
from html import unescape
from typing import Protocol


class Page(Protocol):
    """An answer with a text."""

    @property
    def text(self) -> str: ...


def words(page: Page) -> str:
    """Return the text of a page's main part with single spaces, thin and bound ones included."""
    main = page.text.split("<main", 1)[1].split("</main>", 1)[0]
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", f"<main{main}")).split())
