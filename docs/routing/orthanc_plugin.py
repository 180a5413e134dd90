"""Orthanc's Python plugin: send MR series of the lumbar spine to OsteoNode once they are stable.

In orthanc.json:
    "Plugins"        : [ "/usr/share/orthanc/plugins" ],
    "PythonScript"   : "/etc/orthanc/orthanc_plugin.py",
    "StableAge"      : 10,
    "DicomModalities": { "osteonode": [ "OSTEONODE", "127.0.0.1", 11112 ] }

It decides as `orthanc.lua` does. It must not be called orthanc.py, which would hide the module that it
imports. Results come back by C-STORE; they are not MR, so they are never sent again. Add the words of your
site below.
"""

import json
import re

import orthanc

NODE = "osteonode"

WORDS = "lws|lwk|ls|lss|lsp|l ?spine|l sp|lsspine|bel|lage rug"
BEGINNINGS = "lumb|lomb|lenden|thoracolumb|dorsolumb|dorsolomb|sacrolumb|ledzw|beder"
LUMBAR = re.compile(rf"\b(?:(?:{WORDS})\b|(?:{BEGINNINGS}))|腰|요추|поясн")
OF_NO_OTHER_PART = {"", "spine", "wholespine", "whole spine", "tlspine", "wirbelsaeule"}


def normalised(text: str | None) -> str:
    """Write a text in lower case, with one space for everything that is no letter or digit."""
    return " ".join(re.findall(r"[^\W_]+", (text or "").lower()))


def says_lumbar(*texts: str | None) -> bool:
    """Tell whether one of the texts says lumbar."""
    return any(LUMBAR.search(normalised(text)) for text in texts)


def is_lumbar(series: dict[str, str], study: dict[str, str]) -> bool:
    """Tell whether a series shows the lumbar spine, as far as its header and that of its study say."""
    if says_lumbar(*(series.get(key) for key in ("BodyPartExamined", "SeriesDescription", "ProtocolName"))):
        return True
    own = normalised(series.get("BodyPartExamined"))
    by_study = says_lumbar(study.get("StudyDescription"), study.get("RequestedProcedureDescription"))
    return by_study and own in OF_NO_OTHER_PART


def on_change(change: int, _level: int, resource: str) -> None:
    """Send a series that is stable and lumbar."""
    if change != orthanc.ChangeType.STABLE_SERIES:
        return
    series = json.loads(orthanc.RestApiGet(f"/series/{resource}"))["MainDicomTags"]
    study = json.loads(orthanc.RestApiGet(f"/series/{resource}/study"))["MainDicomTags"]
    if series.get("Modality") == "MR" and is_lumbar(series, study):
        # Asynchronous: the job is seen, and can be resubmitted, under /jobs.
        order = {"Resources": [resource], "Asynchronous": True}
        orthanc.RestApiPost(f"/modalities/{NODE}/store", json.dumps(order))


orthanc.RegisterOnChangeCallback(on_change)
