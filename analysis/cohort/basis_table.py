"""What classifiers of one basis read of every patient of a cohort."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.cohort.feature_table import FeatureTable, SequenceTable
from analysis.domain.basis import AGE_AND_SEX, name_within, sequences_of

__all__ = ["BasisTable", "people_known", "read_basis"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class BasisTable:
    """The features of one basis; a patient who lacks any of them has a row of NaN.

    Attributes
    ----------
    basis : str
        "T1", "T2" or "T1+T2".
    names : tuple of str
        Names of the features, the columns of `values`.
    values : ndarray of shape (patients, features)
        Radiomics, then age and sex if they were asked for.
    repeated : ndarray of shape (patients, features)
        The same after a small change of the masks, which changes neither age nor sex.
    series : dict of str to SequenceTable
        The measurements of each sequence.
    age, female : ndarray of shape (patients,), or None
        Age in whole years; 1 for women and 0 for men. None if they were not asked for.
    """

    basis: str
    names: tuple[str, ...]
    values: Floats
    repeated: Floats
    series: dict[str, SequenceTable]
    age: Floats | None = None
    female: Floats | None = None

    @property
    def available(self) -> npt.NDArray[np.bool_]:
        """Whether each patient has all features, shape (patients,)."""
        return np.asarray(np.isfinite(self.values).all(axis=1) & (len(self.names) > 0))


def people_known(table: FeatureTable) -> npt.NDArray[np.bool_]:
    """Tell whether age and sex of each patient are known, shape (patients,)."""
    return np.isfinite(table.age) & np.isfinite(table.female)


def read_basis(table: FeatureTable, basis: str, *, age_and_sex: bool = False) -> BasisTable:
    """Return what classifiers of a basis read.

    Parameters
    ----------
    table : FeatureTable
        The measured cohort.
    basis : str
        "T1", "T2" or "T1+T2"; with both, patients whose T1 and T2 cannot be read together have none.
    age_and_sex : bool
        Whether age and sex are features beside the radiomics; patients of whom either is unknown have none.
        Age is taken in whole years, as the header of an image tells it to the node.
    """
    series = {name: table.sequences[name] for name in sequences_of(basis)}
    names = [name_within(basis, sequence, name) for sequence, one in series.items() for name in one.names]
    values, repeated = [one.values for one in series.values()], [one.repeated for one in series.values()]
    age, female = (np.floor(table.age), table.female) if age_and_sex else (None, None)
    if age is not None and female is not None:
        names += AGE_AND_SEX
        people = np.column_stack([age, female])
        values, repeated = [*values, people], [*repeated, people]
    apart = table.apart if len(series) > 1 else None
    whole = _whole(values, apart)
    return BasisTable(basis, tuple(names), whole, _whole(repeated, apart), series, age, female)


def _whole(parts: list[Floats], apart: npt.NDArray[np.bool_] | None) -> Floats:
    """Put columns together, with rows of NaN for patients who lack any."""
    if len(parts) == 1:
        return parts[0]
    values = np.concatenate(parts, axis=1)
    values[~np.isfinite(values).all(axis=1)] = np.nan
    if apart is not None:
        values[apart] = np.nan
    return values
