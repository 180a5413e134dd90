"""Makes the station that receives instances and records them."""

from node.app.resources import Resources
from node.app.workers import Workers
from node.deliver.commitment_reports import CommitmentReports
from node.receive.disputes import Disputes
from node.receive.ledger import Ledger
from node.receive.listener import Listener

__all__ = ["make_ledger", "make_listener"]


def make_ledger(resources: Resources, workers: Workers) -> Ledger:
    """Make the ledger, which records arrivals."""
    patience = resources.configuration.assembly.patience
    stores = (resources.store, resources.instance_store)
    disputes = Disputes(workers.compare, *stores, resources.clock, resources.log)
    return Ledger(*stores, resources.clock, patience, resources.log, disputes=disputes)


def make_listener(resources: Resources, records: Ledger) -> Listener:
    """Make the listener, which serves senders."""
    settings = resources.configuration
    commitments = CommitmentReports(
        resources.store, resources.clock, settings.delivery, resources.owner, resources.log
    )
    return Listener(
        settings.node,
        settings.sources,
        rules=settings.rules,
        store=resources.store,
        instance_store=resources.instance_store,
        ledger=records,
        clock=resources.clock,
        audit=resources.audit,
        report=commitments.take,
        tally=resources.tally,
        log=resources.log,
    )
