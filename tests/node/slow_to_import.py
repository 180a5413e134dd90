"""A module that is slow to import, as the analysis is on a busy machine."""

import multiprocessing
import time

if multiprocessing.parent_process() is not None:  # not while tests are collected
    time.sleep(1)


def call() -> str:
    """Return at once."""
    return "done"
