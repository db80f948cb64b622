"""The registry of log formats, and finding out which one a log is in."""

from collections.abc import Callable, Mapping, Sequence

from config.errors import InvalidInputError
from metering.services.log_patterns import HOST_TO_SIZE, ALBFormat, PatternFormat, nginx_format
from metering.services.log_records import CloudFrontFormat, JSONFormat
from metering.services.log_requests import LogFormat

AUTOMATIC = "auto"
# Referrer and agent are not needed and may be cut short.
COMBINED = PatternFormat(
    "combined", "Combined (Apache, nginx)", HOST_TO_SIZE + r' ".*', ending='"'
)  # fmt: skip
COMMON = PatternFormat("common", "Common (Apache)", HOST_TO_SIZE + r"\s*")

# Formats by key, each made for a log that begins with some lines.
REGISTRY: Mapping[str, Callable[[Sequence[str]], LogFormat]] = {
    "combined": lambda sample: COMBINED,
    "common": lambda sample: COMMON,
    "json": lambda sample: JSONFormat(),
    "cloudfront": CloudFrontFormat,
    "alb": lambda sample: ALBFormat(),
}


def find_format(key: str, sample: Sequence[str]) -> LogFormat:
    """Return the named format, or with `auto` the one that most of the sample is written in.

    A key with a `$` in it is an nginx `log_format` string. Raises InvalidInputError when there is
    no such format or no line of the sample is in it.
    """
    candidates = [nginx_format(key)] if "$" in key else registered(key, sample)
    scores = [sum(map(each.matches, sample)) for each in candidates]
    if sample and not any(scores):
        names = " or ".join(each.key for each in candidates)
        raise InvalidInputError(
            f"None of the first {len(sample)} lines is in the format {names}; nothing was imported.",
            field="format",
        )
    return candidates[scores.index(max(scores))]


def registered(key: str, sample: Sequence[str]) -> list[LogFormat]:
    if key != AUTOMATIC and key not in REGISTRY:
        known = ", ".join([*REGISTRY, AUTOMATIC])
        raise InvalidInputError(
            f"There is no log format {key!r}; use one of {known}, or an nginx log_format string "
            "such as '$remote_addr [$time_local] \"$request\" $status'.",
            field="format",
        )
    keys = REGISTRY if key == AUTOMATIC else [key]
    return [REGISTRY[each](sample) for each in keys]
