"""Align two series of one patient: by their headers if these are right, otherwise by registration.

The series of a study mostly share a frame of reference, and their header positions can be compared. If the
frames differ, or the patient moved between the series, the images are registered rigidly by mutual
information, which works across contrasts.

References
----------
Mattes D, Haynor DR, Vesselle H, et al. IEEE Trans Med Imaging 2003;22:120-128.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import SimpleITK

from analysis.domain.segmentation import Segmentation
from analysis.domain.volume import Volume
from analysis.itk import grid_of, to_array, to_image
from analysis.pairing.correspondence import FEWEST_PAIRS, Alignment, CommonBodies

__all__ = ["align"]

Floats = npt.NDArray[np.float64]

_IN_PLACE_MM = 4.0
"""Largest median distance between body centres at which headers, or a registration, are trusted."""

_PIXEL_MM = 1.6
_AROUND_MM = 15.0
_BINS = 32
_SAMPLES = 8000
_SEED = 1
_ALONG_MM = np.arange(-48.0, 49.0, 8.0)
_TRIED = 2
_SAME_START_MM = 6.0


def align(
    first: Volume,
    first_bodies: Segmentation,
    second: Volume,
    second_bodies: Segmentation,
    *,
    one_frame: bool,
) -> CommonBodies | None:
    """Align the first series with the second, and pair the bodies that both show.

    Parameters
    ----------
    first, second : Volume
        The images.
    first_bodies, second_bodies : Segmentation
        Their segmentations.
    one_frame : bool
        Whether the headers have the same frame of reference.

    Returns
    -------
    CommonBodies or None
        By the headers if the bodies match there under the same levels, otherwise by registration; None if
        the bodies match in neither.
    """
    if not first_bodies.regions or not second_bodies.regions:
        return None
    by_headers = CommonBodies.of(first_bodies, second_bodies, Alignment.by_headers())
    believed = one_frame and _fits(by_headers)
    # A patient who moved by one level looks like one whose levels are wrong; only the images can tell.
    if believed and by_headers.same_names:
        return by_headers
    registered = CommonBodies.of(
        first_bodies, second_bodies, _register(first, first_bodies, second, second_bodies)
    )
    if believed and _nearly_still(registered.alignment, first_bodies):
        return by_headers
    return registered if _fits(registered) else None


def _fits(common: CommonBodies) -> bool:
    residual = common.residual_mm
    return len(common.pairs) >= FEWEST_PAIRS and residual is not None and residual <= _IN_PLACE_MM


def _nearly_still(alignment: Alignment, bodies: Segmentation) -> bool:
    centres = _centres(bodies)
    moved = np.linalg.norm(alignment.to_second(centres) - centres, axis=1)
    return bool(moved.max() <= 2 * _IN_PLACE_MM)


def _centres(bodies: Segmentation) -> Floats:
    return np.array([region.centre_mm for region in bodies.regions])


def _register(
    first: Volume, first_bodies: Segmentation, second: Volume, second_bodies: Segmentation
) -> Alignment:
    """Register from the most promising starts, and keep the result with the most mutual information."""
    fixed, moving = _around(_coarse(first), first_bodies), _coarse(second)
    middle = _centres(first_bodies).mean(axis=0)
    method = _method(fixed, SimpleITK.Euler3DTransform())
    ranked = []
    for number, shift in enumerate(_starts(first_bodies, second_bodies)):
        start = SimpleITK.Euler3DTransform(middle.tolist(), 0.0, 0.0, 0.0, shift.tolist())
        method.SetInitialTransform(start)
        if (value := _value(method, fixed, moving)) is not None:
            ranked.append((value, number, start))
    tried = []
    for _, number, start in sorted(ranked)[:_TRIED]:
        refining = _method(fixed, start)
        refining.Execute(fixed, moving)
        tried.append((refining.GetMetricValue(), number, start))
    best = min(tried)[2] if tried else SimpleITK.Euler3DTransform()
    rotation = np.array(best.GetMatrix()).reshape(3, 3)
    return Alignment(rotation, np.array(best.TransformPoint((0.0, 0.0, 0.0))), registered=True)


def _coarse(volume: Volume) -> SimpleITK.Image:
    """Average pixels to about 1.6 mm within each slice."""
    across, down = (max(1, round(_PIXEL_MM / volume.grid.spacing_mm[axis])) for axis in (2, 1))
    one_slice = replace(volume.grid, shape=(1, *volume.grid.shape[1:]))
    # Slice by slice: ITK works on a copy.
    slices = [
        SimpleITK.BinShrink(to_image(volume.signal(slice(at, at + 1)), one_slice), [across, down, 1])
        for at in range(len(volume.voxels))
    ]
    coarse = np.concatenate([to_array(one) for one in slices]).astype(np.float32)
    grid = grid_of(slices[0])
    return to_image(coarse, replace(grid, shape=(len(slices), *grid.shape[1:])))


def _around(image: SimpleITK.Image, bodies: Segmentation) -> SimpleITK.Image:
    """Cut out the box with bodies, discs and canal, which move together with the spine."""
    corners = bodies.grid.to_mm([[one.start for one in bodies.box], [one.stop - 1 for one in bodies.box]])
    indices = np.array([image.TransformPhysicalPointToContinuousIndex(corner.tolist()) for corner in corners])
    margin = _AROUND_MM / np.asarray(image.GetSpacing())
    low = np.maximum(np.floor(indices.min(axis=0) - margin), 0).astype(int)
    high = np.minimum(np.ceil(indices.max(axis=0) + margin), np.array(image.GetSize()) - 1).astype(int)
    return SimpleITK.RegionOfInterest(image, (high - low + 1).tolist(), low.tolist())


def _starts(first: Segmentation, second: Segmentation) -> Iterator[Floats]:
    """Yield initial shifts: none, centre to centre, and same levels, each with steps along the body axis."""
    here, there = _centres(first), _centres(second)
    same = [
        np.subtract(other.centre_mm, region.centre_mm)
        for region in first.regions
        for other in second.regions
        if region.level is other.level
    ]
    anchors = [np.zeros(3), there.mean(axis=0) - here.mean(axis=0)]
    if same:
        anchors.append(np.median(same, axis=0))
    distinct = {tuple(np.rint(anchor / _SAME_START_MM)): anchor for anchor in anchors}
    for anchor in distinct.values():
        for step in _ALONG_MM:
            yield anchor + np.array([0.0, 0.0, step])


def _method(fixed: SimpleITK.Image, start: SimpleITK.Transform) -> SimpleITK.ImageRegistrationMethod:
    method = SimpleITK.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(_BINS)
    # Results must be reproducible: no sums in varying order, and a fixed seed, because regular samples are
    # jittered too and SimpleITK would take the seed from the clock.
    method.SetMetricSamplingStrategy(method.REGULAR)
    share = _SAMPLES / fixed.GetNumberOfPixels()
    method.SetMetricSamplingPercentage(min(1.0, share), _SEED)
    method.SetNumberOfThreads(1)
    method.SetNumberOfWorkUnits(1)
    method.SetInterpolator(SimpleITK.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=2.0, minStep=0.05, numberOfIterations=60, relaxationFactor=0.6
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInitialTransform(start, inPlace=True)
    return method


def _value(
    method: SimpleITK.ImageRegistrationMethod, fixed: SimpleITK.Image, moving: SimpleITK.Image
) -> float | None:
    """Return the negative mutual information, or None if the images hardly overlap."""
    try:
        return float(method.MetricEvaluate(fixed, moving))
    except RuntimeError:  # raised by ITK if most samples fall outside the moving image
        return None
