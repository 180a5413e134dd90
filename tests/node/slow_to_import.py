"""A module that takes its time to import, as the science does on a busy machine."""

import multiprocessing
import time

if multiprocessing.parent_process() is not None:  # not while tests are collected
    time.sleep(1)


def call() -> str:
    """Answer at once."""
    return "done"
