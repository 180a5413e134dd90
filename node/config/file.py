"""The configuration file as a whole: its tables, and the rules that connect them."""

from dataclasses import replace
from pathlib import Path

from analysis.settings import PROGRAMS
from node.config.configuration import Configuration
from node.config.document import TomlDocument, read_text
from node.config.tables.analysis import analysis
from node.config.tables.archives import archive
from node.config.tables.assembly import assembly
from node.config.tables.audit import audit
from node.config.tables.delivery import delivery
from node.config.tables.destinations import destination
from node.config.tables.engine import engine
from node.config.tables.fetching import EVERY_DESTINATION
from node.config.tables.log import log
from node.config.tables.models import models
from node.config.tables.node import node
from node.config.tables.notify import contact
from node.config.tables.report import report
from node.config.tables.rules import MOST_RULES, rule
from node.config.tables.segmentation import segmentation
from node.config.tables.sources import source
from node.config.tables.storage import storage
from node.config.tables.store import store
from node.config.tables.web import web

__all__ = ["load", "parse"]


def load(path: Path) -> Configuration:
    """Read a configuration file.

    Its relative paths refer to the folder that it is in.

    Raises
    ------
    ConfigurationError
        With all faults of the file, if it has any.
    """
    return parse(read_text(path), name=str(path), folder=path.parent)


def parse(text: str, *, name: str = "config.toml", folder: Path = Path()) -> Configuration:
    """Turn the text of a configuration file into values; see `load`."""
    document = TomlDocument(text, name, folder)
    segmentation_settings, place = document.table("segmentation").read(segmentation)
    configuration = Configuration(
        node=document.table("node").read(node),
        sources=tuple(table.read(source) for table in document.tables("sources")),
        rules=tuple(table.read(rule) for table in document.tables("rules")),
        destinations=tuple(table.read(destination) for table in document.tables("destinations")),
        archives=tuple(table.read(archive) for table in document.tables("archives")),
        storage=document.table("storage").read(storage),
        store=document.table("store").read(store),
        assembly=document.table("assembly").read(assembly),
        analysis=replace(document.table("analysis").read(analysis), segmentation=segmentation_settings),
        segmentation=place,
        models=document.table("models").read(models),
        report=document.table("report").read(report),
        engine=document.table("engine").read(engine),
        delivery=document.table("delivery").read(delivery),
        log=document.table("log").read(log),
        audit=document.table("audit").read(audit),
        web=document.table("web").read(web),
        notify=tuple(table.read(contact) for table in document.tables("notify")),
    )
    document.note_unknown_tables()
    _note_contradictions(document, configuration)
    document.faults.raise_any()
    return configuration


def _note_contradictions(document: TomlDocument, configuration: Configuration) -> None:
    """Note the faults that lie between tables."""
    _note_names_given_twice(document, configuration)
    known = {there.name for there in configuration.destinations} | {*EVERY_DESTINATION}
    for number, one in enumerate(configuration.archives, 1):
        for name in one.fetching.results_to:
            if name not in known:
                words = f"archives.results_to names {name!r}, which is no destination"
                document.faults.note(f"archives[{number}]", "results_to", words)
    if len(configuration.rules) > MOST_RULES:
        document.faults.note("rules[1]", "", f"there may be no more than {MOST_RULES} rules")
    if configuration.web.https and configuration.node.tls.certificate is None:
        document.faults.note("web", "https", "web.https needs certificate, key and ca in [node.tls]")
    by_program = configuration.analysis.segmentation.backend in PROGRAMS
    if by_program and configuration.engine.time_limit_s <= 2 * configuration.segmentation.time_limit_s:
        document.faults.note(
            "segmentation",
            "time_limit_s",
            "segmentation.time_limit_s is for one series; engine.time_limit_s must be over twice as long",
        )


def _note_names_given_twice(document: TomlDocument, configuration: Configuration) -> None:
    for kind in ("destinations", "archives", "rules", "notify"):
        names = [one.name for one in getattr(configuration, kind)]
        for number, name in enumerate(names, start=1):
            if name in names[: number - 1]:
                words = f"{kind}.name: two blocks of [[{kind}]] are called {name}"
                document.faults.note(f"{kind}[{number}]", "name", words)
