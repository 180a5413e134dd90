"""Results repeat the bytes of names in every script, even if their character set is declared wrongly."""

import io
import re
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.uid import ExplicitVRLittleEndian

from analysis.domain.findings import Refusal
from analysis.domain.reason import Reason
from dicom_templates.result_set import ResultObject, build, build_refusal
from tests.dicom_templates import gates
from tests.dicom_templates.cases import make_case
from tests.dicom_templates.views import only_written

COPIED = ("PatientName", "ReferringPhysicianName", "PatientComments")

# Names after the examples of PS3.5 annexes H to K.
HONEST = {
    "Japanese": (
        rb"\ISO 2022 IR 87",
        b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
    ),
    "Japanese, half width": (
        rb"ISO 2022 IR 13\ISO 2022 IR 87",
        b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J",
    ),
    "Korean": (
        rb"\ISO 2022 IR 149",
        b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
    ),
    "Chinese, ISO 2022": (rb"\ISO 2022 IR 58", b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab"),
    "Chinese, GB18030": (b"GB18030", "Wang^XiaoDong=王^小东".encode("gb18030")),
    "Chinese, UTF-8": (b"ISO_IR 192", "Wang^XiaoDong=王^小東".encode()),
    "Cyrillic": (b"ISO_IR 144", b"\xbb\xee\xda\x63\x65\xdc\xd1yp\xd3"),
    "Greek": (b"ISO_IR 126", b"\xc4\xe9\xef\xed\xf5\xf3\xe9\xef\xf2"),
    "Latin": (b"ISO_IR 100", "Müller^Jörg".encode("latin-1")),
}
BROKEN = {
    "eight bits, nothing declared": (b"", "Müller^Jörg".encode("latin-1")),
    "UTF-8 declared, Latin sent": (b"ISO_IR 192", "Müller^Jörg".encode("latin-1")),
    "Latin declared, UTF-8 sent": (b"ISO_IR 100", "Müller^Jörg".encode()),
    "no such set": (b"ISO_IR 999", "Müller^Jörg".encode("latin-1")),
    "misspelt": (b"iso-8859-1", "Müller^Jörg".encode("latin-1")),
    "UTF-8 among others": (rb"ISO_IR 100\ISO_IR 192", "Müller^Jörg".encode()),
    "escapes of an undeclared set": (b"ISO_IR 100", b"Yamada^Tarou=\x1b$B;3ED\x1b(B"),
    "an escape that leads nowhere": (rb"\ISO 2022 IR 87", b"Yamada^Tarou=\x1b$Z\x1b"),
    "two bytes cut in half": (rb"\ISO 2022 IR 149", b"Hong^Gildong=\x1b$)C\xfb"),
}


def source_as_sent(header: Dataset, charset: bytes, name: bytes) -> Dataset:
    """Return a header as read from a file with these bytes as character set and in texts of the patient."""
    plain = Dataset()
    plain.update({element.tag: element for element in header})
    plain.file_meta = FileMetaDataset()
    plain.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    # Written in ASCII and replaced afterwards, because pydicom would correct or refuse these bytes.
    padded = {mark: raw + b" " * (len(raw) % 2) for mark, raw in ((b"!", charset), (b"@", name)) if raw}
    plain.SpecificCharacterSet = "!" * len(padded.get(b"!", b"")) or None
    for keyword in COPIED:
        setattr(plain, keyword, "@" * len(padded[b"@"]))
    stream = DicomBytesIO()
    plain.save_as(stream, enforce_file_format=True)
    encoded = stream.getvalue()
    for mark, raw in padded.items():
        encoded = encoded.replace(mark * len(raw), raw)
    return dcmread(io.BytesIO(encoded))


def results_of(charset: bytes, name: bytes) -> tuple[ResultObject, ...]:
    case = make_case(slices=4, size=64, language="de")  # with umlauts in our own words
    sources = {
        uid: [source_as_sent(one, charset, name) for one in all_] for uid, all_ in case.sources.items()
    }
    with only_written():
        return build(case.findings, sources, case.options).objects


def raw(dataset: Dataset, keyword: str) -> bytes:
    return bytes(dataset.get_item(keyword).value or b"").rstrip(b" ")


def declared_in(path: Path) -> bytes:
    """Return the bytes of (0008,0005) from the file, because pydicom corrects them when it reads."""
    _, found, rest = path.read_bytes().partition(b"\x08\x00\x05\x00CS")
    if not found:
        return b""
    length = int.from_bytes(rest[:2], "little")
    return rest[2 : 2 + length].rstrip(b" ")


@pytest.mark.parametrize(
    ("charset", "name", "errors_allowed"),
    [
        *(pytest.param(*sent, "", id=which) for which, sent in HONEST.items()),
        *(
            pytest.param(*sent, "Specific ?Character ?Set|character", id=which)
            for which, sent in BROKEN.items()
        ),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_results_repeat_the_bytes_of_their_source(
    charset: bytes, name: bytes, errors_allowed: str, tmp_path: Path
) -> None:
    made = results_of(charset, name)
    assert len(made) == 5
    for one in made:
        path = tmp_path / f"{one.name}.dcm"
        one.dataset.save_as(path, enforce_file_format=True)
        told = dcmread(path)
        assert declared_in(path) == charset, one.name
        for keyword in COPIED:
            assert raw(told, keyword) == name, (one.name, keyword)
        # Our own text must be readable in the declared character set.
        assert own_words_are_readable(told), one.name
        if one.name in {"sr", "text"}:
            gates_pass(path, errors_allowed)


def own_words_are_readable(dataset: Dataset) -> bool:
    """Tell whether every text of ours decodes without a replacement character."""
    texts = [str(item.TextValue) for item in dataset.get("ContentSequence", ()) if "TextValue" in item]
    return not any("\ufffd" in text for text in texts)


def gates_pass(path: Path, errors_allowed: str) -> None:
    if not errors_allowed:
        gates.no_dciodvfy_errors(path)
        return
    # A wrong declaration is copied from the source; no other error is allowed.
    try:
        gates.no_dciodvfy_errors(path)
    except AssertionError as error:
        others = [
            line
            for line in str(error).split("Error - ")[1:]
            if not re.search(errors_allowed, line, re.IGNORECASE)
        ]
        assert not others, others


@pytest.mark.parametrize(("charset", "name"), (HONEST | BROKEN).values(), ids=(HONEST | BROKEN).keys())
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_refusal_repeats_the_bytes_of_its_source_too(charset: bytes, name: bytes, tmp_path: Path) -> None:
    case = make_case(slices=4, size=32, language="de")
    source = source_as_sent(next(iter(case.sources.values()))[0], charset, name)
    (made,) = build_refusal(Refusal((Reason("no_series"),)), source, case.options, software="X 1").objects
    path = tmp_path / "text.dcm"
    made.dataset.save_as(path, enforce_file_format=True)
    told = dcmread(path)
    assert declared_in(path) == charset
    assert {raw(told, keyword) for keyword in COPIED} == {name}
    assert own_words_are_readable(told)
