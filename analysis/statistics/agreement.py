"""Agreement of repeated measurements."""

import numpy as np
import numpy.typing as npt

__all__ = ["intraclass_correlation"]


def intraclass_correlation(measurements: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Intraclass correlation ICC(2,1): two-way random effects, absolute agreement, single measurement.

    Parameters
    ----------
    measurements : ndarray of shape (patients, repeats, ...)
        Further axes, such as features, are treated independently.

    Returns
    -------
    ndarray of shape (...)
        At most 1; 0 for a constant feature, which cannot distinguish patients.

    References
    ----------
    Shrout PE, Fleiss JL. Intraclass correlations: uses in assessing rater reliability. Psychol Bull
    1979;86:420-428.
    """
    patients, repeats = measurements.shape[:2]
    if patients < 2 or repeats < 2:
        raise ValueError("an intraclass correlation needs two patients and two measurements of each")
    grand = measurements.mean(axis=(0, 1))
    by_patient, by_repeat = measurements.mean(axis=1), measurements.mean(axis=0)
    between = repeats * ((by_patient - grand) ** 2).sum(axis=0) / (patients - 1)
    raters = patients * ((by_repeat - grand) ** 2).sum(axis=0) / (repeats - 1)
    residual = measurements - by_patient[:, None] - by_repeat[None, :] + grand
    error = (residual**2).sum(axis=(0, 1)) / ((patients - 1) * (repeats - 1))
    whole = between + (repeats - 1) * error + repeats * (raters - error) / patients
    # The sums of squares of a constant are not exactly 0, and the rounding error must not count as variance.
    varies = whole > 1e-24 * (1.0 + grand**2)
    return np.where(varies, (between - error) / np.where(varies, whole, 1.0), 0.0)
