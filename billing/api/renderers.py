"""What answers are written in, beside JSON."""

from collections.abc import Mapping
from typing import Any, override

from rest_framework.renderers import BaseRenderer, JSONRenderer

from config.pdf_files import MEDIA_TYPE


class PdfRenderer(BaseRenderer):
    """Lets a client ask for a PDF document. It has been made already; refusals stay JSON."""

    media_type = MEDIA_TYPE
    format = "pdf"

    @override
    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        answer: bytes = JSONRenderer().render(data)
        return answer
