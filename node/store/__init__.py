"""Store: rows and files together; the only package that knows the database.

Other packages see it as the ports `Store` and `InstanceStore` of `node.ports`, or parts of them.
"""

from node.store.claim import address_of_running_node, lock_storage, mark_storage, storage_mark
from node.store.location import store_url
from node.store.migration import Upgrade, upgrade
from node.store.opening import open_database, open_instance_store, open_nodes, open_notices
from node.store.schema import is_there
from node.store.server_clock import server_time

__all__ = [
    "Upgrade",
    "address_of_running_node",
    "is_there",
    "lock_storage",
    "mark_storage",
    "open_database",
    "open_instance_store",
    "open_nodes",
    "open_notices",
    "server_time",
    "storage_mark",
    "store_url",
    "upgrade",
]
