"""The measured cohort: the features of every patient's T1 and T2, and the reference BMD."""

import io
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import numpy.typing as npt

from analysis.domain.basis import SEQUENCES

__all__ = ["SEQUENCES", "FeatureTable", "SequenceTable"]

_FORMAT = 1


@dataclass(frozen=True, slots=True, eq=False)
class SequenceTable:
    """The measurements of one sequence; a patient without a usable series has a row of NaN.

    Attributes
    ----------
    names : tuple of str
        Names of the radiomic features, the columns of `values`.
    values : ndarray of shape (patients, features)
        Features aggregated over the usable bodies.
    repeated : ndarray of shape (patients, features)
        The same features after a small change of the masks; rows of NaN for patients without a repeat.
    vbq : ndarray of shape (patients,)
        Vertebral bone quality; NaN without a valid CSF sample.
    repetition_time_ms, echo_time_ms, field_strength_t : ndarray of shape (patients,)
        Acquisition parameters; NaN where the header has no value.

    Raises
    ------
    ValueError
        If shapes disagree, a name occurs twice, or a row is partly NaN.
    """

    names: tuple[str, ...]
    values: npt.NDArray[np.float64]
    repeated: npt.NDArray[np.float64]
    vbq: npt.NDArray[np.float64]
    repetition_time_ms: npt.NDArray[np.float64]
    echo_time_ms: npt.NDArray[np.float64]
    field_strength_t: npt.NDArray[np.float64]

    def __post_init__(self) -> None:
        shape = (self.vbq.size, len(self.names))
        if self.values.shape != shape or self.repeated.shape != shape:
            raise ValueError(f"{self.values.shape} values do not fill a table of {shape}")
        if len(set(self.names)) != len(self.names):
            raise ValueError("two features have the same name")
        for part in (self.values, self.repeated):
            finite = np.isfinite(part).all(axis=1)
            if not (finite | np.isnan(part).all(axis=1)).all():
                raise ValueError("a patient has either all features of a sequence or none")

    @property
    def available(self) -> npt.NDArray[np.bool_]:
        """Whether each patient has features of this sequence, shape (patients,)."""
        return np.asarray(np.isfinite(self.values).all(axis=1) & (len(self.names) > 0))


@dataclass(frozen=True, slots=True, eq=False)
class FeatureTable:
    """The measured cohort, one row per patient.

    Attributes
    ----------
    patient_ids : tuple of str
        One identifier per row; every patient occurs once, so that splitting rows splits patients.
    bmd_mg_cm3 : ndarray of shape (patients,)
        QCT trabecular bone mineral density.
    age, female : ndarray of shape (patients,)
        Age in years; 1 for women and 0 for men. NaN where unknown.
    sequences : dict of str to SequenceTable
        Measurements by "T1" and "T2".
    features_digest : str
        Digest of the `FeatureSettings` used.
    simulated : bool
        Whether any patient is simulated.
    apart : ndarray of bool, shape (patients,), or None
        Whether T1 and T2 of a patient cannot be read together
        (`analysis.prediction.series_check.objections_to_pair`). None if that was not measured; then all can.
    two_readers : bool
        Whether the repeated features are those of a second reader's masks, not of slightly changed ones.

    Raises
    ------
    ValueError
        If a patient occurs twice, a BMD is not finite, or lengths disagree.
    """

    patient_ids: tuple[str, ...]
    bmd_mg_cm3: npt.NDArray[np.float64]
    age: npt.NDArray[np.float64]
    female: npt.NDArray[np.float64]
    sequences: dict[str, SequenceTable]
    features_digest: str
    simulated: bool
    apart: npt.NDArray[np.bool_] | None = None
    two_readers: bool = False

    def __post_init__(self) -> None:
        if len(set(self.patient_ids)) != len(self.patient_ids):
            raise ValueError("a patient occurs twice: one person would be in both halves of a split")
        if not np.isfinite(self.bmd_mg_cm3).all():
            raise ValueError("every patient needs a finite BMD")
        lengths = {self.bmd_mg_cm3.size, self.age.size, self.female.size}
        if self.apart is not None:
            lengths.add(self.apart.size)
        lengths |= {sequence.vbq.size for sequence in self.sequences.values()}
        if lengths != {len(self.patient_ids)}:
            raise ValueError(f"columns of {sorted(lengths)} rows for {len(self.patient_ids)} patients")
        if set(self.sequences) != set(SEQUENCES):
            raise ValueError(f"a feature table has the sequences {SEQUENCES}")

    def save(self, path: Path) -> None:
        """Write the table as one npz file without pickles; `load` reads it back equal."""
        columns: dict[str, npt.NDArray[np.generic]] = {
            "format": np.array(_FORMAT),
            "patient_ids": np.array(self.patient_ids, dtype=np.str_),
            "bmd_mg_cm3": self.bmd_mg_cm3,
            "age": self.age,
            "female": self.female,
            "features_digest": np.array(self.features_digest),
            "simulated": np.array(self.simulated),
            "two_readers": np.array(self.two_readers),
        }
        if self.apart is not None:
            columns["apart"] = self.apart
        for name, sequence in self.sequences.items():
            for item in fields(sequence):
                column = getattr(sequence, item.name)
                columns[f"{name}.{item.name}"] = np.array(
                    column, dtype=np.str_ if item.name == "names" else None
                )
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **columns)
        path.write_bytes(buffer.getvalue())

    @classmethod
    def load(cls, path: Path) -> "FeatureTable":
        """Read a file that `save` wrote."""
        with np.load(path, allow_pickle=False) as stored:
            columns = dict(stored)
        if int(columns["format"]) != _FORMAT:
            raise ValueError(f"{path.name} is a feature table of another version; measure the cohort again")
        sequences = {}
        for name in SEQUENCES:
            parts = {item.name: columns[f"{name}.{item.name}"] for item in fields(SequenceTable)}
            sequences[name] = SequenceTable(**{**parts, "names": tuple(parts["names"].tolist())})
        return cls(
            patient_ids=tuple(columns["patient_ids"].tolist()),
            bmd_mg_cm3=columns["bmd_mg_cm3"],
            age=columns["age"],
            female=columns["female"],
            sequences=sequences,
            features_digest=str(columns["features_digest"]),
            simulated=bool(columns["simulated"]),
            apart=columns.get("apart"),
            two_readers=bool(columns.get("two_readers", False)),
        )
