"""PDF documents as answers."""

from django.http import HttpResponse
from django.utils.http import content_disposition_header

MEDIA_TYPE = "application/pdf"


def pdf_response(name: str, content: bytes) -> HttpResponse:
    """Answer with a document to be saved as `name`."""
    response = HttpResponse(content, content_type=MEDIA_TYPE)
    disposition = content_disposition_header(as_attachment=True, filename=name)
    response["Content-Disposition"] = disposition or "attachment"
    return response
