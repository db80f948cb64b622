"""Advisory locks that the kernel lets go of however their holder ends, `kill -9` included.

They belong to an open file: a forked child shares its parent's, and the last of the family to
exit frees it. That is what counts the users of a server without a list of process numbers.
"""

import fcntl
import os
from pathlib import Path


def open_lock(path: Path) -> int:
    """Open the lock file at `path`, making it on first use; the caller closes the descriptor."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def share(descriptor: int) -> None:
    """Hold the lock together with others, after waiting for whoever holds it alone."""
    fcntl.flock(descriptor, fcntl.LOCK_SH)


def wait_for(descriptor: int) -> None:
    """Hold the lock alone, after waiting for everybody else to let go."""
    fcntl.flock(descriptor, fcntl.LOCK_EX)


def try_take(descriptor: int) -> bool:
    """Hold the lock alone if nobody else has it; False, at once, if somebody has."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def release(descriptor: int) -> None:
    fcntl.flock(descriptor, fcntl.LOCK_UN)
