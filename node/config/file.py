"""The file as a whole: read, table by table, and what holds between tables."""

from dataclasses import replace
from pathlib import Path

from analysis.settings import PROGRAMS
from node.config.configuration import Configuration
from node.config.reader import Reader
from node.config.tables.analysis import analysis
from node.config.tables.assembly import assembly
from node.config.tables.audit import audit
from node.config.tables.delivery import delivery
from node.config.tables.destinations import destination
from node.config.tables.engine import engine
from node.config.tables.log import log
from node.config.tables.models import models
from node.config.tables.node import listener
from node.config.tables.report import report
from node.config.tables.segmentation import segmentation
from node.config.tables.sources import source
from node.config.tables.storage import storage
from node.config.tables.store import store
from node.config.tables.web import web
from node.errors import ConfigurationError

__all__ = ["load", "parse"]


def load(path: Path) -> Configuration:
    """Read a configuration file.

    Relative paths in it are meant from the folder it lies in.

    Raises
    ------
    ConfigurationError
        With every fault, if it has any.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError((f"{path}: cannot be read ({error.__class__.__name__})",)) from error
    return parse(text, name=str(path), folder=path.parent)


def parse(text: str, *, name: str = "config.toml", folder: Path = Path()) -> Configuration:
    """Turn the text of a configuration file into values; see `load`."""
    reader = Reader(text, name, folder)
    outlining, place = reader.table("segmentation").read(segmentation)
    configuration = Configuration(
        node=reader.table("node").read(listener),
        sources=tuple(table.read(source) for table in reader.tables("sources")),
        destinations=tuple(table.read(destination) for table in reader.tables("destinations")),
        storage=reader.table("storage").read(storage),
        store=reader.table("store").read(store),
        assembly=reader.table("assembly").read(assembly),
        analysis=replace(reader.table("analysis").read(analysis), segmentation=outlining),
        segmentation=place,
        models=reader.table("models").read(models),
        report=reader.table("report").read(report),
        engine=reader.table("engine").read(engine),
        delivery=reader.table("delivery").read(delivery),
        log=reader.table("log").read(log),
        audit=reader.table("audit").read(audit),
        web=reader.table("web").read(web),
    )
    reader.finish()
    _note_what_contradicts(reader, configuration)
    reader.faults.raise_any()
    return configuration


def _note_what_contradicts(reader: Reader, configuration: Configuration) -> None:
    """Note the faults that no table has by itself."""
    names = [there.name for there in configuration.destinations]
    for twice in sorted({there for there in names if names.count(there) > 1}):
        reader.faults.note("destinations[1]", "", f"two destinations are called {twice}")
    by_program = configuration.analysis.segmentation.backend in PROGRAMS
    if by_program and configuration.engine.time_limit_s <= 2 * configuration.segmentation.time_limit_s:
        reader.faults.note(
            "segmentation",
            "time_limit_s",
            "segmentation.time_limit_s is for one series; engine.time_limit_s must be over twice as long",
        )
