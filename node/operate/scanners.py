"""`osteonode scanners`: the states of the scanners, and the order to accept one of them again."""

import socket
from dataclasses import replace
from datetime import datetime, timedelta

from analysis.prediction.checksums import digest_of
from node.audit import AuditTrail
from node.config import Configuration
from node.domain.audit import Client, EventOutcome, scanner_accepted
from node.errors import PermanentError
from node.log import configure, get_log
from node.operate.order_trail import user_of_process
from node.ports import Store
from node.show.scanners import ScannerView, scanner_id, scanner_views

__all__ = ["accept_scanner", "list_scanners"]

_SHOWN = timedelta(days=400)


def list_scanners(store: Store, configuration: Configuration, now: datetime) -> tuple[ScannerView, ...]:
    """Return the scanners that the configured model has read; none without a model.

    Raises
    ------
    ModelRejectedError
        If the bundle of the model is damaged.
    """
    bundle = configuration.models.bundle
    if bundle is None:
        return ()
    digest = digest_of(bundle)
    return scanner_views(store.scanner_ranges(), store.observations(digest, now - _SHOWN), digest)


def accept_scanner(store: Store, configuration: Configuration, name: str, now: datetime) -> str:
    """Let models answer again to the studies of a scanner that has left; counting begins anew.

    Parameters
    ----------
    store, configuration : Store, Configuration
        Of the node.
    name : str
        Its key, or its short name (`scanner_id`).
    now : datetime
        The time.

    Returns
    -------
    str
        What was done, in words.

    Raises
    ------
    PermanentError
        If no scanner of this name has left.
    """
    scanners = {subject.scanner for subject in store.scanner_ranges()}
    found = [one for one in sorted(scanners) if name in {one, scanner_id(one)}]
    if len(found) != 1:
        raise PermanentError(f"no scanner is named {name}: `osteonode scanners` lists them")
    log, ae_title = get_log(), configuration.node.ae_title
    configure(replace(configuration.log, level="warning"))
    audit = AuditTrail(configuration.audit, ae_title, log)
    audit.start()
    outcome = EventOutcome.MINOR_FAILURE
    try:
        count = store.accept_scanner(found[0], now)
        if not count:
            raise PermanentError(f"{found[0]} has not left the range of any model")
        outcome = EventOutcome.SUCCESS
    finally:
        client = Client(user_of_process(), socket.gethostname())
        audit.record(scanner_accepted(found[0], client, ae_title, at=now, outcome=outcome))
        audit.stop()
    return f"{found[0]} is accepted again: models answer to its studies, and its studies are counted anew"
