"""Ten central rules, each made wrong: the tests of the default run must see every one.

``python -m tests.mutants`` works on a copy of the checkout and takes a minute; it exits with 1 if a rule
may be wrong unseen. For those who move a test out of the default run, merge tests, or try fewer cases.
"""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.peers import REPOSITORY

__all__ = ["MUTANTS", "Mutant", "main"]

_HAVE_FAILED = 1
"""Exit status of pytest if tests ran, and some failed."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """A change of one line that makes a rule wrong.

    Attributes
    ----------
    rule : str
        What is wrong then.
    file : str
        Path in the checkout.
    right, wrong : str
        Text that is in the file once, and what replaces it.
    tests : str
        A test of the default run that must fail, or a file of quick ones of which one must.
    """

    rule: str
    file: str
    right: str
    wrong: str
    tests: str


MUTANTS = (
    Mutant(
        "a study with an incomplete series is analysed before the wait for it is over",
        "node/domain/completeness.py", "if now < wait_until:", "if now > wait_until:",
        "tests/node/domain/test_completeness.py",
    ),
    Mutant(
        "two workers have a study at once",
        "node/store/analysis_queue.py", "t.studies.c.lease_until <= now", "t.studies.c.lease_until >= now",
        "tests/node/store/test_store.py::TestSqlite::test_a_lease_that_expired_goes_to_another_and_counts_an_attempt",
    ),
    Mutant(
        "a probability whose interval holds the threshold gets a verdict",
        "analysis/prediction/decision.py", "if low < threshold <= high:", "if high < threshold <= low:",
        "tests/analysis/prediction/test_predict.py::test_an_interval_that_holds_the_threshold_leaves_the_answer_open",
    ),
    Mutant(
        "bodies are named one level too high",
        "analysis/segment/levels.py", "zip(chain, _UPWARDS, strict=False)",
        "zip(chain, _UPWARDS[1:], strict=False)",
        "tests/analysis/segment/test_levels.py::test_an_ordinary_spine_is_named_with_certainty",
    ),
    Mutant(
        "a PACS without room is sent nothing any more",
        "node/domain/delivery.py", "OUT_OF_RESOURCES >> 8: Disposition.RETRY,",
        "OUT_OF_RESOURCES >> 8: Disposition.GIVE_UP,", "tests/node/domain/test_delivery_rules.py",
    ),
    Mutant(
        "a damaged model bundle is loaded",
        "analysis/prediction/bundle.py", "if expected != checksums:", "if not checksums:",
        "tests/analysis/prediction/test_bundle.py::test_one_changed_byte_is_refused",
    ),
    Mutant(
        "a presentation data value may be longer than its PDU",
        "node/receive/pdata.py", "if length < _COUNTED or end > len(content):", "if length < _COUNTED:",
        "tests/node/receive/test_data_transfer.py::test_what_breaks_the_protocol_is_the_last_event",
    ),
    Mutant(
        "the bone quality is the mean of the bodies, not the median",
        "analysis/measurement/vbq.py", "float(np.median(list(signals.values()))) / csf_signal",
        "float(np.mean(list(signals.values()))) / csf_signal",
        "tests/analysis/measurement/test_vbq.py::test_three_levels_are_enough_and_the_missing_one_is_told",
    ),
    Mutant(
        "images of another modality are taken",
        "analysis/identify/exclusions.py", 'if modality == "MR":', 'if modality in {"MR", "CT"}:',
        "tests/analysis/identify/test_identify.py",
    ),
    Mutant(
        "images of a failed study are removed by the clock",
        "node/store/retention.py", "_DONE = FINISHED_STATES - {StudyState.FAILED}", "_DONE = FINISHED_STATES",
        "tests/node/store/test_retention.py::test_what_was_set_aside_is_removed_only_by_an_operator",
    ),
)  # fmt: skip


def copy_checkout(to: Path) -> None:
    """Copy the files that git knows."""
    names = subprocess.run(
        ["git", "ls-files", "-z"], cwd=REPOSITORY, check=True, capture_output=True, text=True
    ).stdout
    for name in filter(None, names.split("\0")):
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(REPOSITORY / name, to / name)


def tested(checkout: Path, *tests: str) -> int:
    """Run tests of a checkout until the first that fails; return the exit status of pytest."""
    words = [sys.executable, "-m", "pytest", "-q", "-x", "-n", "0", "-m", "not nightly and not gate", *tests]
    return subprocess.run(words, cwd=checkout, check=False, capture_output=True).returncode


def unseen(checkout: Path) -> Iterator[Mutant]:
    """Yield the mutants that no test sees; print what became of each."""
    for mutant in MUTANTS:
        file = checkout / mutant.file
        text = file.read_text()
        assert text.count(mutant.right) == 1, f"{mutant.file} does not have {mutant.right!r} once"
        file.write_text(text.replace(mutant.right, mutant.wrong))
        is_seen = tested(checkout, mutant.tests) == _HAVE_FAILED
        file.write_text(text)
        print(f"{'seen' if is_seen else 'NOT SEEN'}: {mutant.rule} ({mutant.tests})", flush=True)  # noqa: T201 - its answer
        if not is_seen:
            yield mutant


def main() -> int:
    """Try all mutants; return 1 if one is not seen."""
    with TemporaryDirectory() as folder:
        checkout = Path(folder)
        copy_checkout(checkout)
        if tested(checkout, *dict.fromkeys(mutant.tests for mutant in MUTANTS)) != 0:
            print("the tests fail without any mutant")  # noqa: T201
            return 1
        return 1 if list(unseen(checkout)) else 0


if __name__ == "__main__":
    raise SystemExit(main())
