"""A secret key for a server on somebody's own machine."""

import secrets
from pathlib import Path


def development_secret_key(data_dir: Path) -> str:
    """Return the key kept in the data directory, made on first use and readable by its owner."""
    path = data_dir / "secret_key"
    data_dir.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x") as file:
            path.chmod(0o600)
            file.write(secrets.token_urlsafe(64))
    except FileExistsError:
        pass
    return path.read_text()
