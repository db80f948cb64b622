"""A page where staff try a mapping on lines of a log before anything is imported."""

from __future__ import annotations

from typing import Any, override

from django import forms
from django.http import HttpRequest

from config.admin import Page, StyledForm, TextField, Tone, add_page, add_refusal, badge
from config.errors import DomainError
from metering.models.imports import COUNTS as WORDS
from metering.services.log_formats import AUTOMATIC, REGISTRY
from metering.services.log_mapping import parse_mapping
from metering.services.log_trial import (
    COUNTED_BEFORE,
    COUNTS,
    IGNORED,
    MOST_BYTES,
    MOST_SHOWN,
    LogTrial,
    try_log,
)

NGINX = "nginx"
MOST_ENDPOINTS = 20
TONES: dict[str, Tone] = {COUNTS: "success", COUNTED_BEFORE: "info", IGNORED: "default"}
EXAMPLE = """event_type: http.request
customer: {field: remote_user}
user: {field: remote_host}
endpoints:
  - {match: "^/v1/users/[^/]+$", name: "/v1/users/{id}"}
ignore: {path: "^/health", status: [301]}
"""


class LogTrialForm(StyledForm):
    format = forms.ChoiceField(
        choices=[
            (AUTOMATIC, "Found out from the lines"),
            *((key, maker(()).label) for key, maker in REGISTRY.items()),
            (NGINX, "nginx log_format, given here"),
        ],
        required=False,
    )
    log_format = forms.CharField(
        label="log_format",
        required=False,
        help_text="With nginx's log_format only: the string as it stands in its configuration.",
    )
    mapping = TextField(help_text="What a line means, as in a mapping file.")
    lines = TextField(label="Sample lines", required=False, strip=False)
    file = forms.FileField(
        label="Or a log",
        required=False,
        help_text=f"Plain or gzip. The first {MOST_BYTES // 1024 // 1024} MB are tried.",
    )

    @override
    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        if not values.get("lines", "").strip() and not values.get("file"):
            self.add_error("lines", "Paste some lines of the log, or choose a file.")
        if values.get("format") == NGINX and "$" not in values.get("log_format", ""):
            self.add_error("log_format", "Give nginx's log_format string, with its $variables.")
        return values

    def log(self) -> bytes:
        values = self.cleaned_data
        if values["file"]:
            return bytes(values["file"].read())
        return str(values["lines"]).replace("\r\n", "\n").encode() + b"\n"

    def format_key(self) -> str:
        chosen = self.cleaned_data["format"]
        if chosen == NGINX:
            return str(self.cleaned_data["log_format"])
        return chosen or AUTOMATIC


def log_trial_content(request: HttpRequest) -> dict[str, Any]:
    if request.method != "POST":
        return {"form": LogTrialForm(initial={"mapping": EXAMPLE})}
    form = LogTrialForm(request.POST, request.FILES)
    context: dict[str, Any] = {"form": form}
    if form.is_valid():
        try:
            trial = try_log(
                content=form.log(),
                format_key=form.format_key(),
                mapping=parse_mapping(form.cleaned_data["mapping"]),
            )
            context |= shown(trial)
        except DomainError as refusal:
            add_refusal(form, refusal)
    return context


def shown(trial: LogTrial) -> dict[str, Any]:
    rows = [
        {"line": line, "badge": badge(line.outcome, TONES.get(line.outcome, "warning"))}
        for line in trial.lines
    ]
    return {
        "trial": trial,
        "counts": [
            (words, trial.counts[name]) for name, words in WORDS.items() if trial.counts[name]
        ],
        "customers": trial.customers.most_common(),
        "endpoints": trial.endpoints.most_common(MOST_ENDPOINTS),
        "rows": rows,
        "most_shown": MOST_SHOWN,
        "has_more": any(number > MOST_SHOWN for number in trial.shown.values()),
    }


add_page(
    Page(
        route="logs/try/",
        name="log_trial",
        title="Try a log",
        template="admin/log_trial.html",
        permission="metering.view_logimport",
        content=log_trial_content,
    )
)
