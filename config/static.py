"""Static files: how they are packed, and collecting them only when they changed."""

import hashlib
from pathlib import Path
from typing import Any, override

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from whitenoise.storage import CompressedManifestStaticFilesStorage

STAMP = ".collected"


class PackedStorage(CompressedManifestStaticFilesStorage):  # type: ignore[misc]  # untyped
    """Files named by their content, each beside its gzipped form.

    Brotli would be taken wherever it is installed, and makes the first start half a minute longer.
    """

    @override
    def create_compressor(self, **options: Any) -> Any:
        return super().create_compressor(use_brotli=False, **options)


def collect_if_changed() -> bool:
    """Bring STATIC_ROOT up to date; True when that took a collection."""
    stamp = Path(settings.STATIC_ROOT) / STAMP
    found = fingerprint()
    if stamp.exists() and stamp.read_text() == found:
        return False
    call_command("collectstatic", interactive=False, clear=True, verbosity=0)
    stamp.write_text(found)
    return True


def fingerprint() -> str:
    """Return a digest of every static file's name, size and time of change."""
    digest = hashlib.sha256()
    for finder in get_finders():
        for name, storage in sorted(finder.list(None), key=lambda item: item[0]):
            status = Path(storage.path(name)).stat()
            digest.update(f"{name}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()
