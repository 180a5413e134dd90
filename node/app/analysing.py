"""The stations between receiving and sending: studies are settled and analysed, refusals reported."""

from collections.abc import Callable, Collection
from datetime import timedelta

from node.analyse.analyst import Analyst
from node.analyse.refusal_sweep import RefusalReporter
from node.analyse.shadows import Shadows
from node.app.resources import Resources
from node.app.workers import Workers
from node.fetch.holding import HeldOpen
from node.ports import OpenAssociations
from node.settle.early_work import EarlyWork
from node.settle.settler import StudySettler
from node.settle.source_counts import SourceCounts

__all__ = ["make_analysts", "make_refusal_reporter", "make_settler", "make_source_counts"]

_EARLY_AFTER = 0.1
"""Part of the quiet time after which a study is analysed early."""
_GONE_ON_AFTER = 6
"""Times the quiet time after which a study does not wait for an association that sends other studies. What
comes later all the same re-opens the study."""


def make_source_counts(resources: Resources) -> SourceCounts:
    """Make what asks the sources how many images they have."""
    settings = resources.configuration
    return SourceCounts(
        settings.sources, calling=settings.node.ae_title, clock=resources.clock, log=resources.log
    )


def make_settler(
    resources: Resources,
    associations: OpenAssociations,
    source_counts: SourceCounts,
    workers: Workers,
    early_work: EarlyWork | None,
) -> StudySettler:
    """Make the station that decides when a study is complete."""
    settings = resources.configuration
    return StudySettler(
        store=resources.store,
        instance_store=resources.instance_store,
        associations=HeldOpen(associations, resources.store, resources.clock),
        clock=resources.clock,
        examine=workers.examine,
        reports_refusals=settings.report.refusals,
        count=source_counts.of_study,
        early_work=early_work,
        grace=timedelta(seconds=settings.assembly.quiet_s * _EARLY_AFTER),
        gone_on=timedelta(seconds=settings.assembly.quiet_s * _GONE_ON_AFTER),
        most_images=settings.assembly.max_images,
        attempts=settings.engine.attempts,
        stopping=resources.stopping,
        log=resources.log,
    )


def make_analysts(
    resources: Resources,
    workers: Workers,
    early_work: EarlyWork | None,
    *,
    left_to_others: Callable[[], Collection[str] | None] = tuple,
    before_early: Callable[[], None] | None = None,
    after_broken: Callable[[str], None] | None = None,
) -> tuple[Analyst, ...]:
    """Make the stations that have studies analysed, one for each process that analyses.

    Parameters
    ----------
    resources, workers, early_work : Resources, Workers, EarlyWork or None
        What they need.
    left_to_others, before_early, after_broken : callable, optional
        See `Analyst`; without them there are no other nodes.
    """
    return tuple(
        Analyst(
            store=resources.store,
            instance_store=resources.instance_store,
            clock=resources.clock,
            analyse=analyse,
            current=resources.current,
            owner=resources.owner,
            shadows=Shadows(workers.ask_shadow, resources.stopping, resources.log),
            early_work=early_work,
            stopping=resources.stopping,
            log=resources.log,
            left_to_others=left_to_others,
            before_early=before_early,
            after_broken=after_broken,
        )
        for analyse in workers.analyses()
    )


def make_refusal_reporter(resources: Resources, workers: Workers) -> RefusalReporter:
    """Make the station that reports refusals."""
    return RefusalReporter(
        store=resources.store,
        instance_store=resources.instance_store,
        clock=resources.clock,
        write=workers.report_refusal,
        current=resources.current,
        stopping=resources.stopping,
        log=resources.log,
    )
