"""Result objects that hold, among them, every content item and every code that the templates write."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from pydicom import Dataset

from analysis.domain.findings import Refusal, SeriesFindings, Verdict
from analysis.domain.reason import Reason, quoted
from analysis.domain.segmentation import Level
from dicom_templates.codes.radiomics import IBSI_OF, UNIT_OF
from dicom_templates.result_kinds import ResultKind
from dicom_templates.result_set import build, build_refusal
from dicom_templates.words.languages import LANGUAGES
from tests.dicom_templates.cases import SET_ASIDE, Case, make_case, with_departure, with_prior

__all__ = ["Item", "content_items", "every_case", "every_object"]

FILTERED = "log-2D-in-body-2-0-mm"


@dataclass(frozen=True)
class Item:
    """One content item, with the concept names of the containers and values around it."""

    document: str
    path: tuple[str, ...]
    dataset: Dataset

    @property
    def name(self) -> Dataset:
        """Its concept name."""
        found: Dataset = self.dataset.ConceptNameCodeSequence[0]
        return found


ALL_KINDS = frozenset(ResultKind)


@cache
def every_case() -> tuple[Case, ...]:
    """Make findings that differ in all that decides which items there are."""
    whole = with_departure(with_prior(make_case(slices=4, size=32)))
    return (
        replace(whole, options=replace(whole.options, kinds=ALL_KINDS, next_step="Ask for a DXA.")),
        _with_all_radiomics(whole),
        _abstaining(whole),
        _uncertain(whole),
        replace(whole, findings=replace(whole.findings, model=None, predictions=())),
        *(with_prior(make_case(slices=4, size=32, language=tag)) for tag in sorted({*LANGUAGES} - {"en"})),
    )


@cache
def every_object() -> tuple[tuple[str, Dataset], ...]:
    """Build the result sets of all cases and a refusal; the objects by their names."""
    few = frozenset({ResultKind.SR, ResultKind.TEXT, ResultKind.SEG})
    objects = []
    for case in every_case():
        kinds = case.options.kinds if case.options.kinds == ALL_KINDS else few
        made = build(case.findings, case.sources, replace(case.options, kinds=kinds))
        objects += [(one.name, one.dataset) for one in made.objects]
    whole = every_case()[0]
    refusal = Refusal((Reason("no_series"),), (SET_ASIDE,))
    header = next(iter(whole.sources.values()))[0]
    refused = build_refusal(refusal, header, whole.options, software="OsteoNode 0.1.0")
    objects += [(one.name, one.dataset) for one in refused.objects]
    return tuple(objects)


def _of_series(case: Case, change: Callable[[SeriesFindings], SeriesFindings]) -> Case:
    series = tuple(change(found) for found in case.findings.series)
    return replace(case, findings=replace(case.findings, series=series))


def _with_all_radiomics(case: Case) -> Case:
    names = [
        f"{image}_{name}" for image in ("original", FILTERED) for name in dict.fromkeys([*IBSI_OF, *UNIT_OF])
    ]

    def measured(found: SeriesFindings) -> SeriesFindings:
        features = dict.fromkeys(names, 1.0)
        return replace(
            found, measurements=tuple(replace(one, features=features) for one in found.measurements)
        )

    # Each with the answer of the other.
    verdicts = [one.verdict for one in reversed(case.findings.predictions)]
    used = tuple(f"{name}_mean" for name in names)
    predictions = tuple(
        replace(one, verdict=verdict, features=used, reasons=(quoted("by hand"),))
        for one, verdict in zip(case.findings.predictions, verdicts, strict=True)
    )
    changed = _of_series(case, measured)
    return replace(changed, findings=replace(changed.findings, predictions=predictions))


def _abstaining(case: Case) -> Case:
    silent = tuple(
        replace(
            one, verdict=Verdict.INDETERMINATE, probability=None, interval=None, reasons=(quoted("no CSF"),)
        )
        for one in case.findings.predictions
    )
    silenced = replace(case, findings=replace(case.findings, predictions=silent))
    return _of_series(silenced, lambda found: _outlined(found, concerns=()))


def _outlined(found: SeriesFindings, **changes: Any) -> SeriesFindings:
    """Change the region of L2."""
    regions = (
        replace(one, **changes) if one.level is Level.L2 else one for one in found.segmentation.regions
    )
    return replace(found, segmentation=replace(found.segmentation, regions=tuple(regions)))


def _uncertain(case: Case) -> Case:
    """Level names are not certain, no header says lumbar, one body has no outline; the grades differ."""

    def changed(found: SeriesFindings) -> SeriesFindings:
        found = _outlined(found, usable=False)
        facts = replace(found.source.facts, inversion_time_ms=150.0)
        without, *others = found.measurements
        return replace(
            found,
            source=replace(found.source, facts=facts),
            identification=replace(found.identification, lumbar=None),
            measurements=(replace(without, outline=None), *others),
            segmentation=replace(found.segmentation, levels_certain=False),
            # Fewer are usable, so the outlines as a whole are not.
            minimum_usable_levels=6,
        )

    return _of_series(case, changed)


def content_items() -> Iterator[Item]:
    """Iterate over all content items of all documents."""
    for name, dataset in every_object():
        if "ContentSequence" in dataset:
            yield from _below(dataset, name, ())


def _below(dataset: Dataset, document: str, path: tuple[str, ...]) -> Iterator[Item]:
    for child in dataset.get("ContentSequence", ()):
        item = Item(document, path, child)
        yield item
        yield from _below(child, document, (*path, str(item.name.CodeMeaning)))
