"""What will happen to an invoice at Stripe, and whether staff have to do something."""

from billing.models import Collection, Invoice, StripeOperation, StripePush, StripeQueue

AGAIN = "It is tried again at {:%Y-%m-%d %H:%M} UTC, and by every nightly run."


def what_happens_next(push: StripePush, queue: StripeQueue | None) -> str:
    """Return what a push waits for, who acts next, and why nothing can be doubled by it."""
    is_halted = queue is not None and queue.halted_at is not None
    if queue is not None and is_halted and push.status == StripePush.Status.PENDING:
        return halted(queue)
    match push.status:
        case StripePush.Status.SKIPPED:
            return "Nothing: this invoice does not go to Stripe."
        case StripePush.Status.BELOW_MINIMUM:
            return (
                "Nothing: Stripe would call it paid and collect nothing. It stays open, and the "
                "customer cannot pay it there. Void it, or mark it as paid if the money came in "
                "another way."
            )
        case StripePush.Status.ATTENTION:
            return (
                "Nothing, until what is said above is put right. Then push it again, or leave it "
                "to the next nightly run. Pushing reads first and never makes a second invoice."
            )
        case StripePush.Status.COMPLETED:
            return after_push(push)
    if push.retry_at is None:
        return "It begins as soon as a worker is free."
    return f"It goes on by itself from what Stripe has. {AGAIN.format(push.retry_at)}"


def delivery(push: StripePush) -> str:
    """Return whether Stripe mailed the invoice, as far as that is known."""
    if push.is_delivery_unknown:
        return "Stripe was asked to mail it and did not answer: whether it did is not known."
    if push.collection_method == Collection.CHARGE_AUTOMATICALLY:
        return "None: the payment method is charged."
    step = push.steps.filter(name="deliver", completed_at__isnull=False).first()
    if step is None:
        return "Not yet."
    return "Stripe mailed it." if step.started_at else "None: the customer has no address."


def halted(queue: StripeQueue) -> str:
    probe = f" One call tries it again at {queue.probe_at:%H:%M} UTC." if queue.probe_at else ""
    return (
        "All calls to Stripe are halted, because it refuses the secret key. Everything stays "
        f"queued and goes on once the key is put right.{probe}"
    )


def after_push(push: StripePush) -> str:
    if push.attention:
        return "Money is never moved automatically: settle what is said above by hand."
    if push.stripe_status in {Invoice.Status.PAID, Invoice.Status.VOID}:
        return "Nothing: it is settled."
    if push.collection_problem:
        return (
            "The customer pays on the payment page, or leaves another payment method: then it is "
            "charged again by itself. Staff can charge it again at once."
        )
    if push.is_delivery_unknown:
        return "Whether the mail went out is not known: send it from Stripe if it did not."
    if push.collection_method == Collection.CHARGE_AUTOMATICALLY:
        return "The payment is under way: Stripe reports what becomes of it."
    return "The customer has the invoice and pays it. Stripe reports it when that happens."


def operation_next(operation: StripeOperation, queue: StripeQueue | None) -> str:
    if queue is not None and queue.halted_at is not None:
        return halted(queue)
    match operation.status:
        case StripeOperation.Status.COMPLETED:
            return "Nothing: it is done."
        case StripeOperation.Status.ATTENTION:
            return "Nothing, until what is said above is put right. Then try it again."
    if operation.retry_at is None:
        return "It begins as soon as a worker is free."
    return f"It is tried again at {operation.retry_at:%Y-%m-%d %H:%M} UTC."
