"""The process that stops an embedded server some seconds after its last user is gone.

Run as `python -m config.embedded.keeper DATA_DIR`. It returns at once and goes on in the
background; a second one for the same data directory ends without doing anything.
"""

import os
import sys
import time
from pathlib import Path

from config.embedded import locks
from config.embedded.server import EmbeddedServer

# Commands run one after another find the server still warm.
LINGER_SECONDS = 3


def keep(server: EmbeddedServer, *, linger_seconds: int = LINGER_SECONDS) -> None:
    """Wait until nobody uses `server`, and still nobody after the pause; then stop it."""
    users = locks.open_lock(server.run_dir / "users")
    while True:
        locks.wait_for(users)
        locks.release(users)
        time.sleep(linger_seconds)
        if locks.try_take(users):
            break
    server.stop()


def main(data_dir: str) -> None:
    server = EmbeddedServer(Path(data_dir))
    keeper = locks.open_lock(server.run_dir / "keeper")
    if not locks.try_take(keeper) or os.fork():
        return
    os.setsid()
    keep(server)
    # Before the users' lock: whoever waits there must see that a new keeper is needed.
    os.close(keeper)


if __name__ == "__main__":
    main(sys.argv[1])
