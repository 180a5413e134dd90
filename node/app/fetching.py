"""Makes the archives that are asked for studies."""

from collections.abc import Mapping

from node.app.resources import Resources
from node.fetch.archives.opening import open_archive
from node.ports import Archive, Intake

__all__ = ["make_archives"]


def make_archives(resources: Resources, intake: Intake) -> Mapping[str, Archive]:
    """Make the archives of the configuration, by name.

    Raises
    ------
    ConfigurationError
        If the files for TLS to an archive are missing or invalid.
    """
    calling = resources.configuration.node.ae_title
    return {
        there.name: open_archive(
            there, calling, intake=intake, held=resources.store.instances, stopping=resources.stopping
        )
        for there in resources.configuration.archives
    }
