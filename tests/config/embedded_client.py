"""A process that uses an embedded server until its standard input is closed.

`python -m tests.config.embedded_client DATA_DIR [--fork]`; with `--fork` it leaves at once, and a
child that it forked stays.
"""

import os
import sys
from pathlib import Path

from config.embedded.server import EmbeddedServer


def main(data_dir: str, *flags: str) -> None:
    EmbeddedServer(Path(data_dir)).ensure_running()
    if "--fork" in flags and os.fork():
        os._exit(0)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
