"""Configuration of the libraries that read DICOM, done once in each process by its entry point."""

from pydicom import config

from node.log import quieten_libraries

__all__ = ["configure_libraries"]


def configure_libraries() -> None:
    """Configure pydicom and its loggers; safe to call repeatedly.

    Nothing is configured on import. Each entry point calls this before it does anything else: every
    command, `Node`, the worker processes and those that measure a cohort. So all of them decode alike.
    """
    quieten_libraries()
    # Values of headers and commands are judged where they are used; pydicom's warnings would quote them.
    config.settings.reading_validation_mode = config.IGNORE
