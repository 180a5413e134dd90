"""The stations between: studies are put together, analysed, and refusals explained."""

from datetime import timedelta

from node.analyse.analyst import Analyst
from node.analyse.explainer import Explainer
from node.app.crew import Crew
from node.app.ground import Ground
from node.ports import OpenAssociations
from node.settle.assembler import Assembler
from node.settle.foresight import Foresight
from node.settle.inquire import Inquirer

__all__ = ["analysts", "assembler", "explainer"]

_EARLY_AFTER = 0.1
"""Part of the quiet time after which a study is analysed early."""


def assembler(
    ground: Ground, traffic: OpenAssociations, crew: Crew, foresight: Foresight | None
) -> Assembler:
    """Return who tells when a study is whole."""
    settings = ground.configuration
    inquirer = Inquirer(settings.sources, calling=settings.node.ae_title, clock=ground.clock, log=ground.log)
    return Assembler(
        store=ground.store,
        instance_store=ground.instance_store,
        traffic=traffic,
        clock=ground.clock,
        examine=crew.examine,
        explains=settings.report.refusals,
        count=inquirer.counts,
        foresight=foresight,
        grace=timedelta(seconds=settings.assembly.quiet_s * _EARLY_AFTER),
        attempts=settings.engine.attempts,
        stopping=ground.stopping,
        log=ground.log,
    )


def analysts(ground: Ground, crew: Crew, foresight: Foresight | None) -> tuple[Analyst, ...]:
    """Return who has studies analysed, one for each process that can."""
    return tuple(
        Analyst(
            store=ground.store,
            instance_store=ground.instance_store,
            clock=ground.clock,
            analyse=analyse,
            configuration=ground.configuration,
            owner=ground.owner,
            foresight=foresight,
            stopping=ground.stopping,
            log=ground.log,
        )
        for analyse in crew.analyses()
    )


def explainer(ground: Ground, crew: Crew) -> Explainer:
    """Return who has refusals explained."""
    return Explainer(
        store=ground.store,
        instance_store=ground.instance_store,
        clock=ground.clock,
        write=crew.explain,
        configuration=ground.configuration,
        stopping=ground.stopping,
        log=ground.log,
    )
