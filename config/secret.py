"""A secret key for a server on somebody's own machine."""

import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

FILE_NAME = "secret_key"


def development_secret_key(data_dir: Path) -> str:
    """Return the key kept in the data directory, made on first use and readable by its owner.

    Processes that start together all get the same key. Raises ImproperlyConfigured when it can
    be neither read nor kept.
    """
    path = data_dir / FILE_NAME
    try:
        if not path.exists():
            keep_new_key(path)
        key = path.read_text().strip()
    except OSError as error:
        raise ImproperlyConfigured(
            f"The secret key cannot be kept in {path} ({error.strerror}). Set TALLYPORT_DATA_DIR "
            "to a folder of your own, or SECRET_KEY."
        ) from error
    if not key:
        raise ImproperlyConfigured(f"{path} is empty. Remove it to have a new key made.")
    return key


def keep_new_key(path: Path) -> None:
    """Make the file at `path` complete or not at all; the first of several makers wins."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{FILE_NAME}-")
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(64))
        with suppress(FileExistsError):
            path.hardlink_to(draft)
    finally:
        Path(draft).unlink()
