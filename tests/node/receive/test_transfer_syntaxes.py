"""Every encoding that DCMTK and GDCM write: stored as it came, and read to the same pixels by a worker."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from analysis.domain.volume import Grid, Volume
from analysis.errors import RefusedError
from dicom_templates.objects.mr_image import ImageIdentity, mr_images
from node.analyse.worker_process import WorkerProcess
from node.app import Node
from node.decode import check_stack, scan
from tests.node.decode.test_decode import AXES, FACTS
from tests.node.nodes import quick, quick_node
from tests.patience import PATIENCE_S
from tests.peers import StoreScp, build_loopback_shim, program, run

pytestmark = pytest.mark.peers

# Encoder with its package and options, and the option that makes storescu propose the syntax; "" is dcmsend,
# which proposes whatever a file has.
LOSSLESS: dict[UID, tuple[Sequence[str], str, str]] = {
    ImplicitVRLittleEndian: (["dcmconv", "+ti"], "dcmtk", "-xi"),
    ExplicitVRLittleEndian: (["dcmconv", "+te"], "dcmtk", "-xe"),
    ExplicitVRBigEndian: (["dcmconv", "+tb"], "dcmtk", "-xb"),
    DeflatedExplicitVRLittleEndian: (["dcmconv", "+td"], "dcmtk", "-xd"),
    RLELossless: (["dcmcrle"], "dcmtk", "-xr"),
    JPEGLosslessSV1: (["dcmcjpeg", "+e1"], "dcmtk", "-xs"),
    JPEGLossless: (["dcmcjpeg", "+el"], "dcmtk", ""),
    JPEGLSLossless: (["dcmcjpls", "+el"], "dcmtk", "-xt"),
    JPEG2000Lossless: (["gdcmconv", "--j2k"], "libgdcm-tools", "-xv"),
}
LOSSY: dict[UID, tuple[Sequence[str], str]] = {
    JPEGLSNearLossless: (["dcmcjpls", "+en"], "-xu"),
    JPEGBaseline8Bit: (["dcmcjpeg", "+eb"], "-xy"),
}


@pytest.fixture(scope="module")
def volume() -> Volume:
    # Twelve bits, smooth and noisy: nothing that a predictor or a run length gets for nothing.
    rows, columns = np.mgrid[:24, :20]
    noise = np.random.default_rng(1).integers(0, 800, (3, 24, 20))
    voxels = (noise + 60 * rows + 40 * columns).astype(np.float32)
    return Volume(voxels, Grid((3, 24, 20), (4.4, 0.8, 0.7), (12.0, -60.0, 80.0), AXES))


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with quick_node(quick(tmp_path_factory.mktemp("syntaxes"))) as running:
        yield running


@pytest.fixture(scope="module")
def receivers(tmp_path_factory: pytest.TempPathFactory, node: Node) -> Iterator[tuple[Node, StoreScp]]:
    """Run a node, and as its witness a storescp that writes down the very bytes it is sent."""
    folder = tmp_path_factory.mktemp("witness")
    with StoreScp(folder / "received", build_loopback_shim(folder), ("+xa", "+B")) as scp:
        yield node, scp


@pytest.fixture(scope="module")
def worker() -> Iterator[WorkerProcess]:
    process = WorkerProcess("tests.node.calls:voxels_of", 8192)
    yield process
    process.stop()


@pytest.fixture
def encode(tmp_path: Path, volume: Volume, study: str) -> Callable[[Sequence[str], str], list[Path]]:
    """Write the volume as a series of the study and encode it with a program."""

    def by_program(command: Sequence[str], package: str) -> list[Path]:
        identity = ImageIdentity(
            patient_id="1", patient_name="A^B", study_uid=study, series_uid=f"{study}.4",
            frame_of_reference_uid=f"{study}.5", study_date="20260101", study_time="080000",
        )  # fmt: skip
        encoder, (tool, *options) = program(command[0], package), command
        assert encoder.name == tool
        files = []
        for number, dataset in enumerate(mr_images(volume, FACTS, identity)):
            plain, encoded = tmp_path / f"plain{number}.dcm", tmp_path / f"encoded{number}.dcm"
            dataset.save_as(plain, enforce_file_format=True)
            run([encoder, *options, plain, encoded])
            files.append(encoded)
        return files

    return by_program


def send_by_dcmtk(files: Sequence[Path], option: str, called: str, port: int) -> None:
    if option:
        run([program("storescu", "dcmtk"), option, "-aec", called, "127.0.0.1", str(port), *files])
    else:
        run([program("dcmsend", "dcmtk"), "-dn", "-aec", called, "127.0.0.1", str(port), *files])


def dataset_of(path: Path) -> bytes:
    """Return what follows the file meta information."""
    content = path.read_bytes()
    length = int.from_bytes(content[140:144], "little")
    return content[144 + length :]


@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda syntax: syntax.name)
def test_it_is_stored_as_it_came_and_read_to_the_same_pixels(
    syntax: UID,
    encode: Callable[[Sequence[str], str], list[Path]],
    receivers: tuple[Node, StoreScp],
    worker: WorkerProcess,
    volume: Volume,
) -> None:
    command, package, option = LOSSLESS[syntax]
    files = encode(command, package)
    assert all(dcmread(file).file_meta.TransferSyntaxUID == syntax for file in files)

    node, witness = receivers
    send_by_dcmtk(files, option, "OSTEONODE", node.port)
    instances = node.store.instances(dcmread(files[0]).StudyInstanceUID)
    assert [instance.transfer_syntax_uid for instance in instances] == [syntax] * 3
    witnessed = {dataset_of(path) for path in files}
    if option:
        send_by_dcmtk(files, option, "STORESCP", witness.port)
        witnessed = {dataset_of(witness.directory / f"MR.{instance.sop_uid}") for instance in instances}
    stored = [node.instance_store.path(instance) for instance in instances]
    assert {dataset_of(path) for path in stored} == witnessed
    assert len(witnessed) == 3
    assert {instance.size for instance in instances} == {len(dataset) for dataset in witnessed}
    read = worker.call(stored, time_limit_s=PATIENCE_S)
    assert np.array_equal(read, np.round(volume.voxels))


@pytest.mark.parametrize("syntax", LOSSY, ids=lambda syntax: syntax.name)
def test_it_is_stored_and_then_refused_with_its_reason_when_it_lost_something(
    syntax: UID, encode: Callable[[Sequence[str], str], list[Path]], node: Node, study: str
) -> None:
    command, option = LOSSY[syntax]
    send_by_dcmtk(encode(command, "dcmtk"), option, "OSTEONODE", node.port)
    instances = node.store.instances(study)
    assert [instance.transfer_syntax_uid for instance in instances] == [syntax] * 3
    (series,), _ = scan([node.instance_store.path(instance) for instance in instances])
    with pytest.raises(RefusedError, match="with loss"):
        check_stack(series)


def test_what_was_lossy_once_is_refused_in_a_lossless_syntax_too(
    encode: Callable[[Sequence[str], str], list[Path]], tmp_path: Path
) -> None:
    opened = []
    for number, file in enumerate(encode(["dcmcjpls", "+en"], "dcmtk")):
        opened.append(tmp_path / f"opened{number}.dcm")
        run([program("dcmdjpls", "dcmtk"), file, opened[-1]])
    (series,), _ = scan(opened)
    assert {header.file_meta.TransferSyntaxUID for header in series.headers} == {ExplicitVRLittleEndian}
    with pytest.raises(RefusedError, match="with loss"):
        check_stack(series)


@pytest.mark.parametrize(
    "trace", [{"LossyImageCompressionRatio": "10"}, {"LossyImageCompressionMethod": "ISO_10918_1"}], ids=str
)
def test_a_trace_of_loss_is_enough(
    encode: Callable[[Sequence[str], str], list[Path]], trace: dict[str, str]
) -> None:
    files = encode(["dcmconv", "+te"], "dcmtk")
    for file in files:
        dataset = dcmread(file)
        for keyword, value in trace.items():
            setattr(dataset, keyword, value)
        dataset.save_as(file)
    (series,), _ = scan(files)
    with pytest.raises(RefusedError, match="with loss"):
        check_stack(series)
