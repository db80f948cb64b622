"""What the dialogs of a subscription ask."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, override

from django import forms
from django.db.models import QuerySet
from django.utils import timezone

from billing.models import (
    Coupon,
    Plan,
    Subscription,
    SubscriptionChange,
    SubscriptionPhase,
)
from config.admin import StyledForm, TextField, style

type When = datetime | Literal["period_end"] | None
EXAMPLE = "One to a line, by the key of the price, such as: seats = 5"


class UnitsField(TextField):
    """Units by the key of their price, written one to a line; clean as a dictionary of texts."""

    @override
    def to_python(self, value: Any) -> Any:
        units: dict[str, str] = {}
        for line in filter(None, map(str.strip, (value or "").splitlines())):
            key, separator, quantity = (part.strip() for part in line.partition("="))
            if not (key and separator and quantity):
                raise forms.ValidationError(f"Write {line[:40]!r} as key = quantity.")
            units[key] = quantity
        return units


def units_text(quantities: dict[str, str]) -> str:
    return "\n".join(f"{key} = {quantity}" for key, quantity in quantities.items())


class SubscriptionForm(forms.ModelForm[Subscription]):
    plan = forms.ModelChoiceField(
        Plan.objects.all(), help_text="The customer gets its current version."
    )
    quantities = UnitsField(
        required=False, help_text=f"For prices per unit without a meter. {EXAMPLE}"
    )
    trial_days = forms.IntegerField(
        required=False, min_value=0, max_value=3660, help_text="Empty for the plan's."
    )
    coupons = forms.ModelMultipleChoiceField(
        Coupon.objects.filter(is_active=True),
        required=False,
        help_text="They are taken off in the order of their keys.",
    )

    class Meta:
        model = Subscription
        fields = ("customer", "start_at", "anchor")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("plan", "quantities", "trial_days", "coupons"):
            if name in self.fields:
                style(self.fields[name])


class WhenForm(StyledForm):
    """From when something holds: the time below, if it is to be another than now."""

    when = forms.ChoiceField(
        label="From when",
        choices=[
            ("now", "now"),
            ("period_end", "from the next billing period on"),
            ("at", "from the time below on"),
        ],
    )
    at = forms.SplitDateTimeField(
        label="Time (UTC)",
        required=False,
        help_text="It may be past: what was billed otherwise is put right on the next document.",
    )

    @override
    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        if values.get("when") == "at" and not values.get("at"):
            self.add_error("at", "Say when.")
        return values

    @staticmethod
    def wish(values: dict[str, Any]) -> When:
        """Return the wish as the services take it."""
        if values["when"] == "at":
            instant: datetime = values["at"]
            return instant
        return "period_end" if values["when"] == "period_end" else None


class CancelForm(WhenForm):
    when = forms.ChoiceField(
        label="It ends",
        choices=[
            ("period_end", "with the current billing period"),
            ("now", "now"),
            ("at", "at the time below"),
        ],
    )


class PlanChangeForm(WhenForm):
    plan = forms.ModelChoiceField(
        Plan.objects.all(), help_text="The customer gets its current version."
    )
    quantities = UnitsField(
        required=False, help_text=f"Where the plan charges for units. {EXAMPLE}"
    )
    field_order = ("plan", "quantities", "when", "at")


class QuantitiesForm(WhenForm):
    quantities = UnitsField(help_text=EXAMPLE)
    field_order = ("quantities", "when", "at")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        phase = current_phase(self.subject)
        self.fields["quantities"].initial = units_text({} if phase is None else phase.quantities)


class WithdrawForm(StyledForm):
    """Which planned change."""

    change = forms.ModelChoiceField(SubscriptionChange.objects.none(), label="What is planned")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["change"].queryset = planned_changes(self.subject)  # type: ignore[attr-defined]


class RedeemForm(StyledForm):
    """Which coupon to redeem."""

    coupon = forms.ModelChoiceField(
        Coupon.objects.filter(is_active=True),
        help_text="It is taken off after those that are there, from the current period on.",
    )


class CouponRemovalForm(StyledForm):
    """Which coupon to remove."""

    coupon = forms.ModelChoiceField(Coupon.objects.none())

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        there = Coupon.objects.filter(
            redemptions__subscription=self.subject, redemptions__removed_at=None
        )
        self.fields["coupon"].queryset = there  # type: ignore[attr-defined]


def current_phase(subscription: Subscription) -> SubscriptionPhase | None:
    """Return the phase that holds now, the first one before the start."""
    phases = sorted(subscription.phases.all(), key=lambda phase: phase.start_at)
    begun = [phase for phase in phases if phase.start_at <= timezone.now()]
    return next(iter([*begun[-1:], *phases]), None)


def planned_changes(subscription: Subscription) -> QuerySet[SubscriptionChange]:
    """Return what is asked for and does not hold yet."""
    planned = subscription.changes.filter(withdrawn_at=None, effective_at__gt=timezone.now())
    return planned.exclude(kind=SubscriptionChange.Kind.START)
