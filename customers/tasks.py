"""Background work of customers; each task may run twice without harm."""

from django.utils import timezone

from customers import services


def forget_answers() -> None:
    services.forget_answers(at=timezone.now())
