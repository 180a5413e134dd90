"""The configuration in force, in the one place where it is replaced."""

from node.config import Configuration

__all__ = ["Current"]


class Current:
    """Returns the configuration in force when called.

    It is replaced as a whole. Who needs several values of it that fit together calls once, and keeps the
    answer for the length of one piece of work.

    Parameters
    ----------
    configuration : Configuration
        The first one.
    """

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration

    def __call__(self) -> Configuration:
        """Return the configuration in force."""
        return self._configuration

    def replace(self, configuration: Configuration) -> None:
        """Put another one in force."""
        self._configuration = configuration
