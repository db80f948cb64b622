"""Other packages' models on our own base: groups, e-mail addresses, tasks and staff's own log.

Loaded once every package has registered its admin.
"""

from __future__ import annotations

from typing import Any, cast, override

from allauth.account.models import EmailAddress
from django.contrib.admin.models import LogEntry
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.models import Group
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.utils import timezone
from django_q.models import Failure, OrmQ, Schedule, Success, Task
from django_q.tasks import async_task

from config.admin import (
    ChoicesDropdownFilter,
    DayRangeFilter,
    ModelAdmin,
    ReadOnlyAdmin,
    badge,
    detail_action,
    display,
    link,
    register,
    site,
)

REPLACED = (Group, EmailAddress, Schedule, Success, Failure, OrmQ)
for model in REPLACED:
    site.unregister(model)


@register(Group)
class GroupAdmin(DjangoGroupAdmin, ModelAdmin[Group]):
    can_delete = True


@register(EmailAddress)
class EmailAddressAdmin(ModelAdmin[Any]):
    """Addresses that people log in with; the one of a user itself is kept in step."""

    can_add = False
    can_delete = True
    list_display = ("email", "user", "primary", "verified")
    list_filter = ("primary", "verified")
    list_select_related = ("user",)
    search_fields = ("email", "user__email")
    readonly_fields = ("user", "email", "primary")


@register(Schedule)
class ScheduleAdmin(ModelAdmin[Any]):
    """When recurring work runs. What runs is written in the code, so it cannot be typed here."""

    can_add = False
    list_display = ("name", "schedule_type", "minutes", "next_run", "last_outcome")
    list_filter = (("schedule_type", ChoicesDropdownFilter),)
    search_fields = ("name", "func")
    fields = ("name", "func", "schedule_type", "minutes", "next_run", "last_outcome")
    readonly_fields = ("name", "func", "last_outcome")
    actions_detail = ("run_now",)

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        last = Task.objects.filter(pk=OuterRef("task")).values("success")
        schedules = super().get_queryset(request).annotate(succeeded=Subquery(last))
        return cast("QuerySet[Any]", schedules)

    @display(description="Last run")
    def last_outcome(self, schedule: Any) -> str:
        if schedule.task is None:
            return "-"
        if schedule.succeeded is None:
            return badge("under way", "info")
        return badge("succeeded", "success") if schedule.succeeded else badge("failed", "danger")

    @detail_action(
        "Run now",
        "The task runs as soon as a worker is free; the times after that stay as they are.",
        icon="play_arrow",
    )
    def run_now(self, request: HttpRequest, schedule: Any, values: dict[str, Any]) -> str:
        async_task(schedule.func)
        return f"{schedule.name} is queued."


class TaskAdmin(ReadOnlyAdmin[Any]):
    """Tasks that ran. The newest are kept; older ones go by themselves."""

    list_display = ("name", "func", "arguments", "started", "seconds")
    list_filter = (("started", DayRangeFilter),)
    search_fields = ("name", "func")
    fields = ("name", "func", "arguments", "started", "stopped", "attempt_count", "outcome")
    readonly_fields = ("arguments", "outcome")

    @display(description="Arguments")
    def arguments(self, task: Any) -> str:
        return ", ".join(str(argument) for argument in task.args or ())

    @display(description="Seconds")
    def seconds(self, task: Any) -> str:
        return f"{task.time_taken():.2f}"

    @display(description="Outcome")
    def outcome(self, task: Any) -> str:
        return "-" if task.result is None else str(task.result)


@register(Success)
class SuccessAdmin(TaskAdmin):
    pass


@register(Failure)
class FailureAdmin(TaskAdmin):
    list_display = ("name", "func", "arguments", "started", "reason")
    actions_detail = ("run_again",)

    @display(description="Reason")
    def reason(self, task: Any) -> str:
        """Return the first line of what the task raised."""
        return str(task.result or "").partition("\n")[0][:120]

    @detail_action(
        "Run again",
        "The task is queued with the same arguments. Tasks are safe to run twice.",
        icon="replay",
        tone="primary",
    )
    def run_again(self, request: HttpRequest, task: Any, values: dict[str, Any]) -> str:
        async_task(task.func, *(task.args or ()), **(task.kwargs or {}))
        return f"{task.func} is queued again."


@register(OrmQ)
class QueueAdmin(ReadOnlyAdmin[Any]):
    """Tasks that wait for a worker, or that one is at."""

    can_delete = True
    list_display = ("task_name", "function", "arguments", "state")
    fields = ("task_name", "function", "arguments", "state")
    readonly_fields = fields

    @display(description="Name")
    def task_name(self, queued: Any) -> str:
        return str(queued.name())

    @display(description="Function")
    def function(self, queued: Any) -> str:
        return str(queued.func())

    @display(description="Arguments")
    def arguments(self, queued: Any) -> str:
        return ", ".join(str(argument) for argument in queued.args() or ())

    @display(description="State", ordering="lock")
    def state(self, queued: Any) -> str:
        # A worker that takes a task moves its lock to the time it may be taken again.
        is_waiting = queued.lock is None or queued.lock <= timezone.now()
        return badge("waiting") if is_waiting else badge("being worked on", "info")


@register(LogEntry)
class LogEntryAdmin(ReadOnlyAdmin[LogEntry]):
    """What staff changed in the admin."""

    list_display = ("action_time", "user", "what", "object_link", "content_type")
    list_filter = (("action_time", DayRangeFilter),)
    list_select_related = ("user", "content_type")
    search_fields = ("object_repr", "change_message", "user__email")
    date_hierarchy = "action_time"
    fields = ("action_time", "user", "content_type", "object_link", "what")
    readonly_fields = ("object_link", "what")

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[LogEntry]:
        return super().get_queryset(request).select_related("user", "content_type")

    @display(description="Change")
    def what(self, entry: LogEntry) -> str:
        return entry.get_change_message() or entry.get_action_flag_display()

    @display(description="Object", ordering="object_repr")
    def object_link(self, entry: LogEntry) -> str:
        url = entry.get_admin_url()
        return link(url, entry.object_repr) if url else entry.object_repr
