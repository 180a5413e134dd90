"""The stations between receiving and sending: studies are settled and analysed, refusals reported."""

from datetime import timedelta

from node.analyse.analyst import Analyst
from node.analyse.refusal_sweep import RefusalReporter
from node.app.crew import Crew
from node.app.ground import Ground
from node.ports import OpenAssociations
from node.settle.assembler import Assembler
from node.settle.early_work import EarlyWork
from node.settle.source_counts import SourceCounts

__all__ = ["analysts", "assembler", "explainer"]

_EARLY_AFTER = 0.1
"""Part of the quiet time after which a study is analysed early."""


def assembler(
    ground: Ground, traffic: OpenAssociations, crew: Crew, early_work: EarlyWork | None
) -> Assembler:
    """Return who tells when a study is whole."""
    settings = ground.configuration
    source_counts = SourceCounts(
        settings.sources, calling=settings.node.ae_title, clock=ground.clock, log=ground.log
    )
    return Assembler(
        store=ground.store,
        instance_store=ground.instance_store,
        traffic=traffic,
        clock=ground.clock,
        examine=crew.examine,
        reports_refusals=settings.report.refusals,
        count=source_counts.of_study,
        early_work=early_work,
        grace=timedelta(seconds=settings.assembly.quiet_s * _EARLY_AFTER),
        attempts=settings.engine.attempts,
        stopping=ground.stopping,
        log=ground.log,
    )


def analysts(ground: Ground, crew: Crew, early_work: EarlyWork | None) -> tuple[Analyst, ...]:
    """Return who has studies analysed, one for each process that can."""
    return tuple(
        Analyst(
            store=ground.store,
            instance_store=ground.instance_store,
            clock=ground.clock,
            analyse=analyse,
            configuration=ground.configuration,
            owner=ground.owner,
            early_work=early_work,
            stopping=ground.stopping,
            log=ground.log,
        )
        for analyse in crew.analyses()
    )


def explainer(ground: Ground, crew: Crew) -> RefusalReporter:
    """Return who has refusals explained."""
    return RefusalReporter(
        store=ground.store,
        instance_store=ground.instance_store,
        clock=ground.clock,
        write=crew.explain,
        configuration=ground.configuration,
        stopping=ground.stopping,
        log=ground.log,
    )
