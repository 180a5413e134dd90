"""What every kind of archive must do, with Orthanc in three ways and dcmqrscp of DCMTK in two."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread

from node.app import Node
from node.config import ArchiveSettings, Method
from node.domain.archive import ArchiveQuery
from node.domain.rules import AgeRange, Rule
from node.errors import PermanentError, TooManyFoundError, TransientError
from node.ports import Archive
from tests.certificates import Authority
from tests.node.deliver.test_stow import DICOMWEB
from tests.node.fetch.archives.servers import DAY, DcmQrScp, images_of, written_to
from tests.node.nodes import quick, quick_node
from tests.patience import PATIENCE_S, wait_until
from tests.peers import Orthanc, free_port

pytestmark = pytest.mark.peers
KINDS = ("orthanc-move", "orthanc-get", "orthanc-dicomweb", "dcmtk-move", "dcmtk-get")


@dataclass(frozen=True, slots=True)
class Asked:
    """An archive that is asked, and the study that it has for this kind alone."""

    archive: Archive
    node: Node
    study: str
    images: list[Dataset]

    @property
    def accession(self) -> str:
        """Its accession number."""
        return str(self.images[0].AccessionNumber)

    @property
    def kept(self) -> dict[str, Dataset]:
        """What the node has stored of the study, by SOP Instance UID."""
        stored = self.node.store.instances(self.study)
        return {one.sop_uid: dcmread(self.node.instance_store.path(one)) for one in stored}


@pytest.fixture(scope="module")
def all_kinds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Asked]]:
    folder = tmp_path_factory.mktemp("archives")
    node_port = free_port()
    modalities = {"node": ["OSTEONODE", "127.0.0.1", node_port]}
    with (
        Orthanc(folder / "orthanc", DICOMWEB | {"DicomModalities": modalities, "DicomAlwaysAllowGet": True,
                "DicomAlwaysAllowMove": True, "TranscodeDicomProtocol": False}) as orthanc,
        DcmQrScp(folder / "dcmqrscp", node_port) as dcmtk,
    ):  # fmt: skip
        studies = {kind: f"1.2.826.0.77.{number}" for number, kind in enumerate(KINDS, start=1)}
        images = {kind: images_of(study, f"ACC-{study[-1]}") for kind, study in studies.items()}
        for kind in KINDS:
            if kind.startswith("dcmtk"):
                # dcmqrscp offers a compressed image over the first context of its class only.
                images[kind][2].decompress(generate_instance_uid=False)
            files = written_to(folder / kind, images[kind])
            (orthanc if kind.startswith("orthanc") else dcmtk).store(files)
        ports = {"orthanc": ("ORTHANC", orthanc.dicom_port), "dcmtk": ("DCMTK", dcmtk.port)}
        archives = []
        for kind in KINDS:
            server, method = kind.split("-")
            title, port = ports[server]
            url = f"http://127.0.0.1:{orthanc.http_port}/dicom-web" if method == "dicomweb" else ""
            archives.append(
                ArchiveSettings(
                    name=kind, method=Method(method), ae_title=title, port=port, url=url, timeout_s=PATIENCE_S
                )
            )
        base = quick(folder / "node", archives=tuple(archives))
        with quick_node(replace(base, node=replace(base.node, port=node_port))) as node:
            yield {kind: Asked(node.archives[kind], node, studies[kind], images[kind]) for kind in KINDS}


_AGAIN = pytest.mark.gate("Orthanc is asked by the methods by which DCMTK is asked")


@pytest.fixture(
    params=[
        pytest.param("orthanc-move", marks=_AGAIN),
        pytest.param("orthanc-get", marks=_AGAIN),
        "orthanc-dicomweb",
        "dcmtk-move",
        "dcmtk-get",
    ]
)
def asked(request: pytest.FixtureRequest, all_kinds: dict[str, Asked]) -> Asked:
    found: Asked = all_kinds[request.param]
    return found


def test_it_answers(asked: Asked) -> None:
    asked.archive.reach()


@pytest.mark.parametrize(
    "query",
    [
        {"study_uid": "the study"},
        {"accession_number": "its accession"},
        {"since": DAY, "until": DAY, "accession_number": "its accession"},
        {"since": date(2024, 2, 1), "accession_number": "its accession"},
        {"description": "*LENDEN*", "study_uid": "the study"},
    ],
    ids=["UID", "accession", "one day", "open range", "description"],
)
def test_a_study_is_found_with_what_the_archive_tells(asked: Asked, query: dict[str, Any]) -> None:
    values = {"the study": asked.study, "its accession": asked.accession}
    wanted = ArchiveQuery(**{key: values.get(value, value) for key, value in query.items()})
    (found,) = asked.archive.find_studies(wanted, most=20)
    assert (found.study_uid, found.accession_number) == (asked.study, asked.accession)
    assert (found.study_date, found.description) == (DAY, "MR LENDENWIRBELSÄULE")
    assert found.age_years == 63
    assert found.modalities in {(), ("MR",)}


@pytest.mark.parametrize(
    "query",
    [
        {"study_uid": "1.2.3.4"},
        {"accession_number": "ACC"},
        {"since": date(2024, 3, 2)},
        {"until": date(2024, 2, 29)},
        {"description": "*KNIE*"},
        {"modality": "CT"},
    ],
    ids=["UID", "accession", "later", "earlier", "description", "modality"],
)
def test_no_other_study_is_found(asked: Asked, query: dict[str, Any]) -> None:
    found = asked.archive.find_studies(ArchiveQuery(**query), most=20)
    # dcmqrscp does not know the modalities of a study; its series tell them.
    assert not found if "modality" not in query else {study.modalities for study in found} <= {()}


def test_more_studies_than_are_wanted_are_told_and_not_cut(asked: Asked) -> None:
    with pytest.raises(TooManyFoundError):
        asked.archive.find_studies(ArchiveQuery(since=DAY, until=DAY), most=1)


def test_the_series_of_a_study_are_told(asked: Asked) -> None:
    first, second = asked.archive.find_series(asked.study)
    assert (first.series_uid, second.series_uid) == (f"{asked.study}.1", f"{asked.study}.2")
    told = [one.facts.series_description for one in (first, second)]
    assert told == ["t1 sag", "t2 sag"] if "orthanc" in asked.archive.name else ["", ""]
    assert {one.facts.modality for one in (first, second)} == {"MR"}
    assert (first.images, second.images) in {(3, 2), (None, None)}


def test_the_header_of_an_image_adds_what_the_series_does_not_tell(asked: Asked) -> None:
    first, _ = asked.archive.find_series(asked.study)
    facts = asked.archive.read_facts(first)
    # C-MOVE would store the image, so only what the archive tells in answer to a C-FIND is known.
    known = {520.0} if "move" not in asked.archive.name else {520.0, None}
    assert facts.repetition_time_ms in known
    assert facts.series_description == "t1 sag" or asked.archive.name == "dcmtk-move"


def test_looking_stores_nothing_and_one_series_comes_as_the_archive_has_it(asked: Asked) -> None:
    assert asked.kept == {}
    got = asked.archive.retrieve(asked.study, f"{asked.study}.1")
    assert (got.completed, got.failed, got.reason) == (3, 0, "")
    wanted = {image.SOPInstanceUID: image for image in asked.images if image.SeriesInstanceUID[-2:] == ".1"}
    assert asked.kept.keys() == wanted.keys()
    for uid, image in asked.kept.items():
        assert image.PixelData == wanted[uid].PixelData
        assert image.file_meta.TransferSyntaxUID == wanted[uid].file_meta.TransferSyntaxUID
    wait_until(lambda: asked.node.store.cut_off_series(asked.study) == frozenset())
    # What is here is not asked for again, even of an archive that would send it.
    assert asked.archive.retrieve(asked.study, f"{asked.study}.1").completed == 3


def test_what_the_rules_discard_has_come(asked: Asked) -> None:
    """An archive does not tell everything that a rule asks for, such as the age of the patient."""
    before = asked.node.configuration
    adults = Rule("adults", take=False, conditions=(AgeRange(least=18),))
    asked.node.apply(replace(before, rules=(adults,)))
    try:
        got = asked.archive.retrieve(asked.study, f"{asked.study}.2")
    finally:
        asked.node.apply(before)
    assert (got.completed, got.failed, got.reason) == (0, 0, "")
    assert (got.discarded, got.rules) == (2, frozenset({"adults"}))
    assert not {one for one in asked.kept if one.startswith(f"{asked.study}.2.")}


def test_what_an_archive_does_not_have_is_told(asked: Asked) -> None:
    assert asked.archive.find_series("1.2.3.4") == []
    with pytest.raises(PermanentError, match="no image of this series"):
        asked.archive.retrieve("1.2.3.4", "1.2.3.5")


@pytest.mark.parametrize("method", list(Method))
def test_an_archive_that_is_down_may_be_asked_again(tmp_path: Path, method: Method) -> None:
    port = free_port()
    there = ArchiveSettings(
        name="down", method=method, port=port, url=f"http://127.0.0.1:{port}", timeout_s=PATIENCE_S
    )
    node = quick_node(quick(tmp_path, archives=(there,)))
    with node:
        archive = node.archives["down"]
        for ask in (
            archive.reach,
            lambda: archive.find_studies(ArchiveQuery(), 1),
            lambda: archive.find_series("1.2"),
            lambda: archive.retrieve("1.2", "1.3"),
        ):
            with pytest.raises(TransientError, match="cannot be reached"):
                ask()


@pytest.mark.parametrize("method", [Method.GET, Method.MOVE])
def test_an_archive_is_asked_over_tls_and_no_impostor_is(tmp_path: Path, method: Method) -> None:
    authority, study = Authority(tmp_path / "ca"), "1.2.826.0.78"
    own, theirs = authority.issue("node"), authority.issue("archive")
    node_port = free_port()
    settings = {
        "DicomTlsEnabled": True,
        "DicomTlsCertificate": str(theirs.certificate),
        "DicomTlsPrivateKey": str(theirs.key),
        "DicomTlsTrustedCertificates": str(theirs.ca),
        "DicomModalities": {
            "node": {"AET": "OSTEONODE", "Host": "127.0.0.1", "Port": node_port, "UseDicomTls": True}
        },
        "DicomAlwaysAllowGet": True,
        "DicomAlwaysAllowMove": True,
    }
    with Orthanc(tmp_path / "orthanc", settings) as orthanc:
        orthanc.store(written_to(tmp_path / "images", images_of(study)))
        right = ArchiveSettings(
            name="right", method=method, ae_title="ORTHANC", port=orthanc.dicom_port, tls=own.settings,
            timeout_s=PATIENCE_S,
        )  # fmt: skip
        other = Authority(tmp_path / "other").certificate
        wrong = replace(right, name="wrong", tls=replace(own.settings, ca=other))
        base = quick(tmp_path / "node", archives=(right, wrong))
        with quick_node(replace(base, node=replace(base.node, port=node_port, tls=own.settings))) as node:
            node.archives["right"].reach()
            assert node.archives["right"].retrieve(study, f"{study}.1").completed == 3
            with pytest.raises(TransientError):
                node.archives["wrong"].reach()
