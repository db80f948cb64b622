"""Run the benchmarks: `make bench`, or `make bench ARGS="ingest quotes"` for some of them."""

import logging
import os
import sys
from collections.abc import Callable, Iterator

import django
from django.test.utils import setup_databases, teardown_databases

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

# Models need the settings.
from benchmarks import capture, freshness, ingest, logs, quotes, usage  # noqa: E402
from benchmarks.harness import Result, Skipped  # noqa: E402

BENCHMARKS: dict[str, Callable[[], Iterator[Result | Skipped]]] = {
    "ingest": ingest.run,
    "usage": usage.run,
    "freshness": freshness.run,
    "capture": capture.run,
    "logs": logs.run,
    "quotes": quotes.run,
}


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        sys.stderr.write(f"There is no benchmark {unknown[0]!r}; try {', '.join(BENCHMARKS)}.\n")
        return 2
    logging.getLogger("django-q").setLevel(logging.WARNING)
    databases = setup_databases(verbosity=0, interactive=False)
    try:
        for name in names or BENCHMARKS:
            for result in BENCHMARKS[name]():
                sys.stdout.write(result.as_json() + "\n")
                sys.stdout.flush()
    finally:
        teardown_databases(databases, verbosity=0)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
