"""Archives of the tests: dcmqrscp of DCMTK, and the studies that each archive is given."""

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Self

from pydicom import Dataset
from pydicom.uid import RLELossless

from tests.node.nodes import slice_of
from tests.patience import PATIENCE_S
from tests.peers import build_loopback_shim, free_port, program, run, wait_until_open

__all__ = ["ACCESSION", "DAY", "DcmQrScp", "images_of", "written_to"]

DAY = date(2024, 3, 1)
ACCESSION = "A-4711"
_SAGITTAL = [0.0, 1.0, 0.0, 0.0, 0.0, -1.0]


def images_of(study: str, accession: str = ACCESSION) -> list[Dataset]:
    """Return a study of two series: three images of T1, the last of them compressed, and two of T2."""
    images = []
    for series, (name, count, repetition_ms) in enumerate((("t1 sag", 3, 520), ("t2 sag", 2, 3500)), start=1):
        for number in range(1, count + 1):
            image = slice_of(number, study=study, series=str(series), patient_id=f"P{accession}")
            image.AccessionNumber = accession
            image.StudyDate = f"{DAY:%Y%m%d}"
            image.StudyTime = "120000"
            image.StudyID = "1"
            image.SeriesNumber = series
            image.StudyDescription = "MR LENDENWIRBELSÄULE"
            image.SpecificCharacterSet = "ISO_IR 100"
            image.PatientBirthDate = "19600302"
            image.PatientSex = "F"
            image.SeriesDescription = name
            image.BodyPartExamined = "LSPINE"
            image.RepetitionTime, image.EchoTime = repetition_ms, 11
            image.ImageOrientationPatient = _SAGITTAL
            image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
            image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 12, 11, 0
            images.append(image)
    images[2].compress(RLELossless, generate_instance_uid=False)
    return images


def written_to(folder: Path, images: Sequence[Dataset]) -> list[Path]:
    """Write images to a folder, and return their files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for image in images:
        files.append(folder / f"{image.SOPInstanceUID}.dcm")
        image.save_as(files[-1], enforce_file_format=True)
    return files


@dataclass(slots=True)
class DcmQrScp:
    """dcmqrscp of DCMTK on loopback.

    Parameters
    ----------
    directory : Path
        Holds its configuration and images.
    node_port : int
        The port of the node, to which it moves images.
    """

    directory: Path
    node_port: int
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    def __enter__(self) -> Self:
        server = program("dcmqrscp", "dcmtk")
        (self.directory / "images").mkdir(parents=True)
        settings = self.directory / "dcmqrscp.cfg"
        settings.write_text(
            f"NetworkTCPPort = {self.port}\nMaxPDUSize = 16384\nMaxAssociations = 16\n"
            f"HostTable BEGIN\nnode = (OSTEONODE, 127.0.0.1, {self.node_port})\nHostTable END\n"
            "VendorTable BEGIN\nVendorTable END\n"
            f"AETable BEGIN\nDCMTK {self.directory / 'images'} RW (100, 1024mb) ANY\nAETable END\n"
        )
        self.process = subprocess.Popen(
            [str(word) for word in (server, "+xr", "-xr", "-c", settings)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"LD_PRELOAD": str(build_loopback_shim(self.directory)), "TCP_NODELAY": "1"},
        )
        wait_until_open(self.port)
        return self

    def __exit__(self, *_exception: object) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(PATIENCE_S)

    def store(self, files: Sequence[Path]) -> None:
        """Send it files, which it keeps as they are encoded."""
        for syntax in ("-xr", "-xe"):
            chosen = [file for file in files if _is_compressed(file) == (syntax == "-xr")]
            if chosen:
                storescu = program("storescu", "dcmtk")
                run([storescu, syntax, "-aec", "DCMTK", "127.0.0.1", str(self.port), *chosen])


def _is_compressed(file: Path) -> bool:
    return RLELossless.encode() in file.read_bytes()[:1000]
