"""Unhandled errors go to a Sentry project, if one is named."""

import sentry_sdk


def start(dsn: str) -> None:
    """Report this process's unhandled errors to the project of `dsn`; do nothing without one.

    What is reported holds no request bodies, no local variables and nothing that names a person:
    keys, usage and addresses of customers stay here.
    """
    if dsn:
        sentry_sdk.init(
            dsn=dsn,
            send_default_pii=False,
            include_local_variables=False,
            max_request_body_size="never",
        )
