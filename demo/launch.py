"""Bring the demo up: environment, sandbox, data, web server and worker."""

import secrets
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from django.core.management.base import CommandError

from config.processes import STOP_SECONDS, Program, run_together
from demo.company import COMPANIES, PASSWORD, SELLER, STAFF_EMAIL

SANDBOX_PORT = 12111
LOOPBACK = "127.0.0.1"


def run(
    *,
    manage: list[str],
    environment: Mapping[str, str],
    data_dir: Path,
    port: int,
    sandbox_port: int,
    months: int,
    is_serving: bool,
    say: Callable[[str], object],
) -> None:
    """Migrate, make the data of the last `months` on the first start, serve until interrupted.

    Raises CommandError when a port is taken or one of the steps fails.
    """
    for number, option in ((port, "--port"), (sandbox_port, "--sandbox-port")):
        require_free(number, option)
    data_dir.mkdir(parents=True, exist_ok=True)
    secret = kept_secret(data_dir / "demo_webhook_secret")
    state = data_dir / "stripe_sandbox.json"
    variables = dict(environment) | demo_settings(port, sandbox_port, secret)
    step([*manage, "migrate", "--verbosity", "0"], variables)
    seed = [*manage, "seed_demo", "--state", str(state), "--months", str(months)]
    step([*seed, "--sandbox-port", str(sandbox_port)], variables)
    if is_serving:
        serve(manage, variables, port, sandbox_port, secret, state, say)


def demo_settings(port: int, sandbox_port: int, webhook_secret: str) -> dict[str, str]:
    """Return the variables that make Tallyport the demo company's, with a sandbox for Stripe."""
    return {
        "PORT": str(port),
        "BASE_URL": f"http://{LOOPBACK}:{port}",
        "BRAND_NAME": SELLER,
        "DEFAULT_FROM_EMAIL": f"billing@{SELLER.lower()}.example",
        "STRIPE_SECRET_KEY": "sk_test_tallyport_demo",
        "STRIPE_API_BASE": f"http://{LOOPBACK}:{sandbox_port}",
        "STRIPE_WEBHOOK_SECRET": webhook_secret,
    }


def require_free(port: int, option: str) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            message = f"Port {port} is taken. Stop what uses it, or choose another: {option} N."
            raise CommandError(message) from error


def kept_secret(path: Path) -> str:
    """Return the secret that webhooks are signed with, made on first use."""
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(f"whsec_{secrets.token_hex(24)}")
    return path.read_text()


def step(command: list[str], variables: Mapping[str, str]) -> None:
    finished = subprocess.run(command, env=variables, check=False)  # noqa: S603
    if finished.returncode:
        raise CommandError(f"The step {command[2]!r} failed; its message is above.")


def serve(
    manage: list[str],
    variables: Mapping[str, str],
    port: int,
    sandbox_port: int,
    secret: str,
    state: Path,
    say: Callable[[str], object],
) -> None:
    """Run the sandbox and the portal side by side until one ends or a signal comes."""
    webhook_url = f"http://{LOOPBACK}:{port}/webhooks/stripe/"
    sandbox = [*manage, "stripe_sandbox", "--port", str(sandbox_port), "--state", str(state)]
    sandbox += ["--webhook-url", webhook_url, "--webhook-secret", secret]
    portal = [*manage, "serve", "--port", str(port)]
    threading.Thread(target=greet, args=(port, sandbox_port, say), daemon=True).start()
    ending = run_together(
        [Program("sandbox", sandbox), Program("portal", portal)],
        variables,
        stop_seconds=2 * STOP_SECONDS,
    )
    if ending.crashed:
        raise CommandError(f"The {ending.crashed} ended by itself; its message is above.")
    say("Stopped. The data is kept: `make demo` starts again in seconds.")


def greet(port: int, sandbox_port: int, say: Callable[[str], object]) -> None:
    """Say where everything is once the portal answers."""
    while not is_listening(port):
        time.sleep(0.2)
    say(welcome(port, sandbox_port))


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0


def welcome(port: int, sandbox_port: int) -> str:
    """Return the text that tells where everything is and how to log in."""
    member = COMPANIES[1]
    root = f"http://{LOOPBACK}:{port}"
    return f"""
{SELLER} is up, with half a year of usage and invoices of {len(COMPANIES)} customers.

  Portal   {root}/          {member_email(member.key)}
  Admin    {root}/admin/    {STAFF_EMAIL}
  API      {root}/api/v1/docs/
  Stripe   http://{LOOPBACK}:{sandbox_port}/          a sandbox: pay, decline or void invoices here

  Every password is {PASSWORD}
  Other customers: {", ".join(member_email(company.key) for company in COMPANIES)}

Press Ctrl-C to stop. `make demo-reset` starts over.
"""


def member_email(key: str) -> str:
    return f"{key}@skycast.example"
