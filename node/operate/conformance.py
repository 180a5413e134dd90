"""The tables of docs/conformance.md, generated from the code that negotiates.

`python -m node.operate.conformance` writes them into the statement.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from pydicom.uid import UID
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import StorageCommitmentPushModel, Verification

from dicom_templates.origin.provenance import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dicom_templates.result_kinds import STORAGE_CLASSES
from node.dicom.commitment import COMMITMENT_CONTEXTS
from node.dicom.contexts import (
    ECHO_CONTEXTS,
    GET_CONTEXTS,
    MOVE_CONTEXTS,
    contexts_for,
    retrieved_contexts,
    storage_contexts,
)
from node.dicom.libraries import configure_libraries
from node.dicom.query import QUERY_CONTEXTS

__all__ = ["STATEMENT", "tables", "with_tables"]

STATEMENT = Path(__file__).parents[2] / "docs" / "conformance.md"


def tables() -> dict[str, str]:
    """Return the tables of the statement in Markdown, by their names in it."""
    accepted = storage_contexts()
    services = {Verification, StorageCommitmentPushModel}
    storage = [context for context in accepted if context.abstract_syntax not in services]
    classes = dict.fromkeys(uid for kind in STORAGE_CLASSES.values() for uid in kind)
    sent = contexts_for(classes)
    kinds = {uid: kind for kind, uids in STORAGE_CLASSES.items() for uid in uids}
    return {
        "implementation": _table(
            ("Implementation Class UID", "Implementation Version Name"),
            [(IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME)],
        ),
        "verification": _table(
            ("SOP class", "UID", "Role"),
            [(*_named(context), "SCP") for context in accepted if context.abstract_syntax == Verification],
        ),
        "storage-scp": _table(
            ("SOP class", "UID", "Role"), [(*_named(context), "SCP") for context in storage]
        ),
        "storage-scp-syntaxes": _syntaxes(storage),
        "storage-scu": _table(
            ("SOP class", "UID", "Role", "Kind in `results`"),
            [(*_named(context), "SCU", f"`{kinds[UID(str(context.abstract_syntax))]}`") for context in sent],
        ),
        "storage-scu-syntaxes": _syntaxes(sent),
        "query-scu": _table(
            ("SOP class", "UID", "Role"), [(*_named(context), "SCU") for context in QUERY_CONTEXTS]
        ),
        "query-scu-syntaxes": _syntaxes(QUERY_CONTEXTS),
        "retrieve-scu": _table(
            ("SOP class", "UID", "Role"),
            [(*_named(context), "SCU") for context in (*MOVE_CONTEXTS, *GET_CONTEXTS, *ECHO_CONTEXTS)],
        ),
        "retrieve-scu-syntaxes": _syntaxes((*MOVE_CONTEXTS, *GET_CONTEXTS, *ECHO_CONTEXTS)),
        "retrieve-scp": _table(
            ("SOP class", "UID", "Role"),
            dict.fromkeys((*_named(context), "SCP") for context in retrieved_contexts()),
        ),
        "commitment-scu": _table(
            ("SOP class", "UID", "Role"), [(*_named(context), "SCU") for context in COMMITMENT_CONTEXTS]
        ),
    }


def with_tables(statement: str) -> str:
    """Return the statement with its tables replaced by those that the code gives now.

    Parameters
    ----------
    statement : str
        Markdown, with each table between `<!-- table NAME -->` and `<!-- end -->`.

    Raises
    ------
    ValueError
        If the statement lacks one of the tables, or has one that the code does not give.
    """
    made = tables()
    asked = re.findall(r"<!-- table ([\w-]+) -->", statement)
    if sorted(asked) != sorted(made):
        raise ValueError(f"the statement has the tables {sorted(asked)}, the code makes {sorted(made)}")
    return re.sub(
        r"<!-- table ([\w-]+) -->.*?<!-- end -->",
        lambda found: f"<!-- table {found[1]} -->\n{made[found[1]]}\n<!-- end -->",
        statement,
        flags=re.DOTALL,
    )


def _named(context: PresentationContext) -> tuple[str, str]:
    uid = UID(str(context.abstract_syntax))
    return uid.name, str(uid)


def _syntaxes(contexts: Iterable[PresentationContext]) -> str:
    """List the transfer syntaxes of the contexts, which all have the same, in the order of preference."""
    listed = {tuple(map(str, context.transfer_syntax or ())) for context in contexts}
    (syntaxes,) = listed
    return _table(("Transfer syntax", "UID"), [(UID(uid).name, uid) for uid in syntaxes])


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [heads, tuple("---" for _ in heads), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


if __name__ == "__main__":
    configure_libraries()
    STATEMENT.write_text(with_tables(STATEMENT.read_text(encoding="utf-8")), encoding="utf-8")
