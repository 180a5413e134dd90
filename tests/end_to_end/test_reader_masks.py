"""A cohort whose bodies two readers outlined: features, fluid and repeats come of their masks."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from analysis.cohort.measure import MeasuredCohort
from analysis.itk import read_labels, write
from node.config import default
from node.science.measure_cohort import measure_table


def measured(table: Path, line: str, cache: Path) -> MeasuredCohort:
    table.write_text(f"patient_id,study,bmd_mg_cm3,t1_mask,t2_mask,t1_second_mask,t2_second_mask\n{line}\n")
    configuration = default()
    return measure_table(
        table, configuration.analysis, configuration.segmentation, minimum_per_class=0, cache=cache
    )


@pytest.fixture(scope="module")
def masks(sample_study: Path) -> Path:
    """Write what two readers drew: the true bodies, and the same one row of pixels lower."""
    folder = sample_study / "readers"
    folder.mkdir(exist_ok=True)
    for sequence in ("t1", "t2"):
        labels, grid = read_labels(next((sample_study / "truth").glob(f"*_{sequence}_sag_labels.nii.gz")))
        write(folder / f"first_{sequence}.nii.gz", labels.astype(np.uint8), grid)
        write(folder / f"second_{sequence}.nii.gz", np.roll(labels, 1, axis=1).astype(np.uint8), grid)
    return folder


@pytest.mark.gate("measures a study three times; `tests/node/analyse/test_reader_masks.py` has it in short")
def test_two_readers_give_features_and_their_repeats(sample_study: Path, masks: Path, tmp_path: Path) -> None:
    table, study = sample_study / "readers.csv", "studies/SIM0001"
    names = [f"readers/{reader}_{one}.nii.gz" for reader in ("first", "second") for one in ("t1", "t2")]
    found = measured(table, f"P1,{study},100,{','.join(names)}", tmp_path / "c")
    assert not found.refused
    assert not found.in_part
    assert found.table.two_readers
    by_a_person = found.records[0]["sequences"]
    for sequence in found.table.sequences.values():
        assert np.isfinite(sequence.vbq).all()  # the masks have no canal
        assert np.isfinite(sequence.repeated).all()
        assert (sequence.repeated != sequence.values).any()
    # A second mask that does not fit is told, and costs the repeat alone; the study is not taken from its
    # checkpoint, whose masks were others.
    labels, grid = read_labels(masks / "first_t1.nii.gz")
    finer = replace(grid, spacing_mm=(grid.spacing_mm[0], grid.spacing_mm[1] * 1.02, grid.spacing_mm[2]))
    write(masks / "bad.nii.gz", labels.astype(np.uint8), finer)
    names[2] = "readers/bad.nii.gz"
    again = measured(table, f"P1,{study},100,{','.join(names)}", tmp_path / "c")
    (told,) = again.in_part
    assert "T1 is not measured again: the mask has other voxels" in "; ".join(told.reasons)
    assert again.records[0]["sequences"]["T1"]["features"] == by_a_person["T1"]["features"]
    assert np.isnan(again.table.sequences["T1"].repeated).all()
    # An empty cell leaves the series out, and the bad mask as the first one too.
    last = measured(table, f"P1,{study},100,readers/bad.nii.gz,,,", tmp_path / "c")
    (refused,) = last.refused
    assert "other voxels" in "; ".join(refused.reasons)
    assert "names no mask of T2" in "; ".join(refused.reasons)
