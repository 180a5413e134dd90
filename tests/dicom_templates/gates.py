"""Checks of result objects by other programs and libraries.

Used here and by the end-to-end tests. Each function passes, fails with the output of the program, or skips
the test if the program is not installed.
"""

import json
import re
import subprocess
from collections.abc import Iterable, Sequence
from copy import deepcopy
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from pydicom import Dataset, dcmread

from tests.patience import PATIENCE_S
from tests.peers import program, run

__all__ = [
    "consistent_entities",
    "dsr2html_page",
    "dsrdump_text",
    "measurements_by_dcmqi",
    "no_dciodvfy_errors",
    "no_dcmpschk_complaints",
    "no_pixelmed_errors",
    "one_copy_per_group_template",
    "segments_by_dcmqi",
]

_PIXELMED = Path("/usr/share/java/pixelmed.jar")
_CHARSET = "does not support this Specific Character Set: ISO_IR 192"
"""DCMTK 3.6.7 converts to UTF-8 on demand, and then warns that it cannot check UTF-8."""
_QUIRKS = (
    # In some IODs AccessionNumber belongs to two entities, which dcentvfy reports of any mixed study.
    "Different information entities for attribute - Element=<AccessionNumber>",
)


def no_dciodvfy_errors(path: Path) -> None:
    """Check an object against its IOD with dciodvfy of dicom3tools."""
    said = _say(program("dciodvfy", "dicom3tools"), "-new", path)
    errors = [line for line in said.splitlines() if line.startswith("Error")]
    assert not errors, f"{path.name}: {errors}"


def no_dcmpschk_complaints(path: Path) -> None:
    """Check a presentation state with dcmpschk of DCMTK."""
    said = _say(program("dcmpschk", "dcmtk"), path)
    assert "Test passed." in said, f"{path.name}: {said}"
    assert not re.search(r"^E: |Warning|[Ee]rror", said, flags=re.MULTILINE), f"{path.name}: {said}"


def consistent_entities(paths: Iterable[Path]) -> None:
    """Check with dcentvfy that patient, study and equipment of source and results agree."""
    said = _say(program("dcentvfy", "dicom3tools"), *paths)
    wrong = [line for line in said.splitlines() if line.strip() and not any(one in line for one in _QUIRKS)]
    assert not wrong, wrong


def dsrdump_text(path: Path) -> str:
    """Return DCMTK's dump of a document, with long values in full; fail on any complaint."""
    said = run([program("dsrdump", "dcmtk"), "+Pl", "+U8", path])
    complaints = [
        line for line in re.findall(r"^[EWF]: .*", said, flags=re.MULTILINE) if _CHARSET not in line
    ]
    assert not complaints, f"{path.name}: {complaints}"
    return said


def dsr2html_page(path: Path, page: Path) -> str:
    """Return the page that DCMTK renders of a document."""
    run([program("dsr2html", "dcmtk"), "+U8", path, page])
    return page.read_text(encoding="utf-8", errors="strict")


def no_pixelmed_errors(path: Path) -> None:
    """Check a document against its template with the DicomSRValidator of PixelMed."""
    java = program("java", "default-jre-headless")
    if not _PIXELMED.exists():
        program("pixelmed", "libpixelmed-java")
    # The style sheet exceeds the limits that newer Java versions set for XPath.
    limits = [f"-Djdk.xml.xpath{name}=0" for name in ("ExprGrpLimit", "ExprOpLimit", "TotalOpLimit")]
    validator = "com.pixelmed.validate.DicomSRValidator"
    # It ends before the slower compiler and the parallel collection of garbage have paid for themselves.
    lean = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
    said = _say(java, "-Xss8m", "-Xmx3g", *lean, *limits, "-cp", _PIXELMED, validator, path)
    errors = [line for line in said.splitlines() if line.startswith("Error")]
    assert not errors, f"{path.name}: {errors}"


def one_copy_per_group_template(path: Path, work: Path) -> list[Path]:
    """Write a copy of a TID 1500 document for each template of its groups, and return their paths.

    PixelMed's style sheet applies one of them to all groups of a document, which gives false errors.
    """
    document = dcmread(path)
    copies = []
    for template in sorted({_template(group) for group in _container(document).ContentSequence}):
        copy = deepcopy(document)
        container = _container(copy)
        container.ContentSequence = [one for one in container.ContentSequence if _template(one) == template]
        copies.append(work / f"{path.stem}_{template}.dcm")
        copy.save_as(copies[-1])
    return copies


def _container(document: Dataset) -> Dataset:
    imaging_measurements = "126010"
    found: Dataset = next(
        item
        for item in document.ContentSequence
        if item.ConceptNameCodeSequence[0].get("CodeValue") == imaging_measurements
    )
    return found


def _template(group: Dataset) -> str:
    return str(group.ContentTemplateSequence[0].TemplateIdentifier)


def measurements_by_dcmqi(path: Path, work: Path) -> list[dict[str, object]]:
    """Return the measurement groups of a TID 1500 document as dcmqi reads them."""
    out = work / "dcmqi.json"
    run([_dcmqi("tid1500reader"), "--inputDICOM", path, "--outputMetadata", out])
    groups: list[dict[str, object]] = json.loads(out.read_text())["Measurements"]
    return groups


def segments_by_dcmqi(path: Path, work: Path) -> dict[str, npt.NDArray[np.bool_]]:
    """Return the masks of a SEG by segment label, as dcmqi's segimage2itkimage writes them."""
    sitk = pytest.importorskip("SimpleITK")
    run(
        [
            _dcmqi("segimage2itkimage"),
            "--inputDICOM",
            path,
            "--outputDirectory",
            work,
            "-t",
            "nrrd",
            "-p",
            "seg",
        ]
    )
    described = json.loads((work / "seg-meta.json").read_text())["segmentAttributes"]
    masks = {}
    for (segment,) in described:
        image = sitk.ReadImage(str(work / f"seg-{segment['labelID']}.nrrd"))
        masks[str(segment["SegmentLabel"])] = sitk.GetArrayFromImage(image) > 0
    return masks


def _dcmqi(name: str) -> Path:
    package = find_spec("dcmqi")
    if package is None or package.origin is None:
        pytest.skip("dcmqi is not installed (it is in the dev group)")
    return Path(package.origin).parent / "bin" / name


def _say(*command: str | Path) -> str:
    """Return the output of a validator, whose exit status does not depend on its findings."""
    words: Sequence[str] = [str(word) for word in command]
    done = subprocess.run(
        words,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=PATIENCE_S,
        errors="replace",
    )
    return done.stdout
