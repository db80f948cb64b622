"""Run the benchmarks: `make bench`, or `make bench ARGS="ingest quotes"` for some of them.

`ARGS="usage --events 1000000"` says how many events usage is measured with, by default 20 million.
"""

import argparse
import logging
import os
import sys
from collections.abc import Callable, Iterator
from functools import partial

import django
from django.test.utils import setup_databases, teardown_databases

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

# Models need the settings.
from benchmarks import capture, freshness, ingest, logs, nightly, quotes, usage  # noqa: E402
from benchmarks.harness import Result, Skipped  # noqa: E402

BENCHMARKS: dict[str, Callable[[], Iterator[Result | Skipped]]] = {
    "ingest": ingest.run,
    "freshness": freshness.run,
    "capture": capture.run,
    "logs": logs.run,
    "quotes": quotes.run,
    "nightly": nightly.run,
}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join([*BENCHMARKS, "usage"]))
    parser.add_argument("--events", type=int, default=20_000_000, help="for usage")
    asked = parser.parse_args(arguments)
    benchmarks: dict[str, Callable[[], Iterator[Result | Skipped]]] = {
        **BENCHMARKS,
        "usage": partial(usage.run, asked.events),
    }
    unknown = [name for name in asked.names if name not in benchmarks]
    if unknown:
        parser.error(f"There is no benchmark {unknown[0]!r}; try {', '.join(benchmarks)}.")
    logging.getLogger("django-q").setLevel(logging.WARNING)
    databases = setup_databases(verbosity=0, interactive=False)
    try:
        for name in asked.names or benchmarks:
            for result in benchmarks[name]():
                sys.stdout.write(result.as_json() + "\n")
                sys.stdout.flush()
    finally:
        teardown_databases(databases, verbosity=0)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
