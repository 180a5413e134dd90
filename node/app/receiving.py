"""The first station: what arrives is put down, and who sends is judged."""

from node.app.ground import Ground
from node.deliver.commitment_reports import CommitmentReports
from node.receive.ledger import Ledger
from node.receive.listener import Listener

__all__ = ["ledger", "listener"]


def ledger(ground: Ground) -> Ledger:
    """Return where arrivals are recorded."""
    patience = ground.configuration.assembly.patience
    return Ledger(ground.store, ground.instance_store, ground.clock, patience, ground.log)


def listener(ground: Ground, records: Ledger) -> Listener:
    """Return who speaks with senders."""
    settings = ground.configuration
    commitments = CommitmentReports(ground.store, ground.clock, settings.delivery, ground.owner, ground.log)
    return Listener(
        settings.node,
        settings.sources,
        store=ground.store,
        instance_store=ground.instance_store,
        ledger=records,
        clock=ground.clock,
        audit=ground.audit,
        report=commitments.take,
        tally=ground.tally,
        log=ground.log,
    )
