"""The files that archived events lie in: gzip-compressed CSV, and a manifest that says what is in.

A file is complete under its name, or not there: it is written under another one, forced to disk,
read back and only then renamed. The manifest comes last.
"""

import gzip
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from config.errors import DomainError

FORMAT = 1
PIECE = 1024 * 1024
COMPRESSION = 6
# Events are customers' data: nobody but the account of Tallyport reads them.
FILE_MODE, FOLDER_MODE = 0o600, 0o700


@dataclass(frozen=True, slots=True)
class Contents:
    """What a partition holds; any change of it changes one of these."""

    rows: int
    void: int
    highest_batch: int | None
    highest_voided_batch: int | None
    first: str | None
    last: str | None


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is in an archive's file; `sha256` is of the file, `csv_sha256` of what is packed in it.

    `columns` are the event table's by name, with their types; `columns_version` is a digest of
    them. Instants are by ISO 8601 in UTC, `bounds` are half-open.
    """

    partition: str
    bounds: tuple[str, str]
    file: str
    sha256: str
    csv_sha256: str
    size: int
    contents: Contents
    columns: dict[str, str]
    columns_version: str

    @property
    def document(self) -> dict[str, Any]:
        fields = asdict(self)
        contents = fields.pop("contents")
        return {"format": FORMAT, **fields, **contents}

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a manifest; raises DomainError when there is none or it is not one of ours."""
        try:
            document = json.loads(path.read_text())
            if document.pop("format") != FORMAT:
                raise refusal(path, "it is of another version of Tallyport")
            names = Contents.__dataclass_fields__
            contents = Contents(**{name: document.pop(name) for name in names})
            start, end = document.pop("bounds")
            manifest = cls(contents=contents, bounds=(start, end), **document)
            # A name that leads to another folder, or a bound that is no instant, is a ValueError.
            path.with_name(manifest.file), manifest.start, manifest.end
        except OSError as error:
            raise refusal(path, error.strerror or "it cannot be read") from error
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise refusal(path, "it is no manifest of archived events") from error
        return manifest

    @property
    def start(self) -> datetime:
        return datetime.fromisoformat(self.bounds[0])

    @property
    def end(self) -> datetime:
        return datetime.fromisoformat(self.bounds[1])


def refusal(path: Path, reason: str) -> DomainError:
    return DomainError(f"{path} cannot be used: {reason}.", code="archive_unusable")


def version_of(columns: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps(columns, sort_keys=True).encode()).hexdigest()[:16]


@contextmanager
def disk_errors_told(path: Path) -> Iterator[None]:
    """Turn errors of the disk, a full one before all, into one sentence."""
    try:
        yield
    except OSError as error:
        message = f"{path} could not be written: {error.strerror}. Nothing was detached."
        raise DomainError(message, code="archive_unwritable") from error


def write_file(path: Path, pieces: Iterable[bytes]) -> tuple[str, str]:
    """Write pieces of CSV to a compressed file and read it back.

    Returns the digests of the file and of the CSV in it. Raises DomainError when the disk does not
    take it, or gives back something else.
    """
    digest = hashlib.sha256()
    draft = path.with_name(f".{path.name}.part")
    with disk_errors_told(path):
        path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        with create(draft) as raw:
            # Without a name and a time the same events make the same file.
            with gzip.GzipFile("", "wb", COMPRESSION, raw, mtime=0) as packed:
                for piece in pieces:
                    digest.update(piece)
                    packed.write(piece)
            force(raw)
        if csv_digest(draft) != digest.hexdigest():
            raise refusal(draft, "what was read back is not what was written")
        draft.replace(path)
        force_folder(path.parent)
    return file_digest(path), digest.hexdigest()


def write_manifest(path: Path, manifest: Manifest) -> None:
    draft = path.with_name(f".{path.name}.part")
    with disk_errors_told(path):
        with create(draft) as raw:
            raw.write(json.dumps(manifest.document, indent=2).encode() + b"\n")
            force(raw)
        draft.replace(path)
        force_folder(path.parent)


def create(path: Path) -> Any:
    # What a killed run left under this name is of no use to anybody.
    path.unlink(missing_ok=True)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE), "wb")


def force(raw: Any) -> None:
    raw.flush()
    os.fsync(raw.fileno())


def force_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_file(path: Path, manifest: Manifest) -> None:
    """Raise DomainError unless a file is the one that its manifest speaks of."""
    try:
        is_same = file_digest(path) == manifest.sha256
    except OSError as error:
        raise refusal(path, error.strerror or "it cannot be read") from error
    if not is_same:
        raise refusal(path, "its SHA-256 is not the one in the manifest, so it was changed or cut")
    try:
        is_same = csv_digest(path) == manifest.csv_sha256
    except (OSError, EOFError) as error:
        raise refusal(path, "it cannot be unpacked") from error
    if not is_same:
        raise refusal(path, "what is packed in it is not what the manifest speaks of")


def file_digest(path: Path) -> str:
    with path.open("rb") as raw:
        return hashlib.file_digest(raw, "sha256").hexdigest()


def csv_digest(path: Path) -> str:
    digest = hashlib.sha256()
    read_pieces(path, digest.update)
    return digest.hexdigest()


def read_pieces(path: Path, take: Callable[[bytes], object]) -> None:
    """Give the CSV in a file to `take`, piece after piece."""
    with gzip.open(path, "rb") as packed:
        while piece := packed.read(PIECE):
            take(piece)
