"""Where Stripe posts its webhooks."""

import logging

from django.conf import settings
from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from billing.gateways.errors import WebhookRefusedError
from billing.services.stripe_events import receive_stripe_event

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 512 * 1024


@csrf_exempt
@require_POST
def stripe_webhook(request: HttpRequest) -> JsonResponse:
    """Verify and store a webhook; the answer comes before the event is handled."""
    if not settings.STRIPE_WEBHOOK_SECRETS:
        return refusal(503, "STRIPE_WEBHOOK_SECRET is not set, so no webhook can be verified.")
    announced = request.headers.get("Content-Length", "")
    # The announcement is looked at first, so that a greater body is not even read.
    if announced.isdecimal() and int(announced) > MAX_BODY_BYTES:
        return refusal(413, f"A webhook has at most {MAX_BODY_BYTES} bytes.")
    body = request.body
    if len(body) > MAX_BODY_BYTES:
        return refusal(413, f"A webhook has at most {MAX_BODY_BYTES} bytes.")
    try:
        receive_stripe_event(
            body=body,
            signature=request.headers.get("Stripe-Signature", ""),
            secrets=settings.STRIPE_WEBHOOK_SECRETS,
            at=timezone.now(),
        )
    except WebhookRefusedError as error:
        return refusal(400, str(error))
    return JsonResponse({"received": True})


def refusal(status: int, message: str) -> JsonResponse:
    # Neither body nor signature is logged: they are not ours to keep before they are verified.
    logger.warning("Refused a Stripe webhook: %s", message)
    return JsonResponse({"error": {"code": "webhook_refused", "message": message}}, status=status)
