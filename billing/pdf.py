"""From HTML to PDF: the one place that knows WeasyPrint."""

from pathlib import Path
from typing import Any

FONTS = Path(__file__).parent / "fonts"
FONT_SCHEME = "font:"
# Archives ask for PDF/A; its third part may carry the numbers as a file. ISO 19005-3.
VARIANT = "pdf/a-3b"


def weasyprint() -> Any:
    """Return the library. It needs Pango, so nothing but the making of a PDF may depend on it."""
    import weasyprint as library  # type: ignore[import-untyped]  # noqa: PLC0415

    return library


def problem() -> str | None:
    """Return why no PDF can be made here, or None."""
    try:
        weasyprint()
    except (ImportError, OSError) as error:
        return str(error)
    return None


def fetcher() -> Any:
    """Return what gives a document the bundled fonts and refuses it everything else."""
    library = weasyprint()

    class BundledFonts(library.urls.URLFetcher):  # type: ignore[misc, name-defined]
        def fetch(self, url: str, headers: Any = None) -> Any:
            name = url.removeprefix(FONT_SCHEME)
            allowed = {path.name for path in FONTS.glob("*.ttf")}
            if not url.startswith(FONT_SCHEME) or name not in allowed:
                raise library.urls.FatalURLFetchingError(f"A document may not load {url}.")
            body = (FONTS / name).read_bytes()
            return library.urls.URLFetcherResponse(url, body, {"Content-Type": "font/ttf"})

    return BundledFonts()


def pdf_of(html: str, *, attached: str, attached_name: str) -> bytes:
    """Return the PDF/A-3 document of a page, with a JSON text attached as a file.

    The page may use the fonts in `billing/fonts` as `font:NAME`; anything else that it wants to
    load raises ValueError, so that no name or description can make this process fetch something.
    """
    library = weasyprint()
    attachment = library.Attachment(
        string=attached, name=attached_name, description="What it says", relationship="Data"
    )
    page = library.HTML(string=html, url_fetcher=fetcher(), base_url=None)
    try:
        content: bytes = page.write_pdf(pdf_variant=VARIANT, attachments=[attachment])
    except library.urls.FatalURLFetchingError as error:
        # The library's is no Exception, and would end whoever makes many documents.
        raise ValueError(str(error)) from error
    return content
