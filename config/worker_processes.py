"""Processes that share the work of one command, each with a database connection of its own."""

import multiprocessing
import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.connection import wait

import django
from django.db import connection, connections


def worker_processes(number: int) -> ProcessPoolExecutor:
    """Return a pool of processes that use this process's database; they end when it does."""
    return ProcessPoolExecutor(
        number,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=begin,
        initargs=(str(connection.settings_dict["NAME"]), str(connection.settings_dict["HOST"])),
    )


def begin(database: str, host: str) -> None:
    # An interrupt at the terminal reaches every process; the first one decides what ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=end_with_the_parent, daemon=True).start()
    django.setup()
    connections["default"].settings_dict.update(NAME=database, HOST=host)


def end_with_the_parent() -> None:
    """Leave nothing behind when the parent is killed; the database undoes what was begun."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
