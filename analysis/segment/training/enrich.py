"""Label what the sources leave unlabelled with a first network, and add repainted and simulated slices.

Run as ``python -m analysis.segment.training.enrich PACK WEIGHTS TARGET``. Manual labels always take
precedence, and a pixel of which the network is not sure stays ignored.
"""

import logging
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from analysis.segment.training.lateral import beside, through_edge, through_pedicles
from analysis.segment.training.pack import Packed, unpack
from analysis.segment.training.simulated import simulated_slices
from analysis.segment.training.truth import (
    BACKGROUND,
    BACKSPINE,
    BODY,
    CANAL,
    DISC,
    IGNORE,
    POSTERIOR,
    SACRUM,
    SIMULATED,
)

__all__ = ["Opinion", "append_simulated", "complete_labels", "enrich", "read_enriched"]

Labels = npt.NDArray[np.uint8]

Opinion = Callable[[Labels], tuple[Labels, npt.NDArray[np.float32]]]
"""Returns the most probable class of every pixel of an image, and its probability."""

_LOG = logging.getLogger(__name__)
_SURE = 0.75
_SPIDER_STRIDE = 3
_SIMULATED_PATIENTS = 64
_REPAINTERS = (through_pedicles, through_edge, beside)
_SHARES = (0.38, 0.38, 0.24)


def complete_labels(labels: Labels, source: int, opinion: Labels, sure: npt.NDArray[np.bool_]) -> Labels:
    """Merge manual labels with the opinion of a network.

    Parameters
    ----------
    labels : ndarray of uint8, shape (rows, columns)
        Classes of `analysis.segment.training.truth`, or IGNORE.
    source : int
        BACKSPINE or SPIDER.
    opinion : ndarray of uint8
        The most probable class according to the network.
    sure : ndarray of bool
        Where the network is sure of it.
    """
    merged = labels.copy()
    blank = labels == IGNORE
    if source == BACKSPINE:
        merged[blank & sure] = opinion[blank & sure]
        merged[blank & (merged == SACRUM)] = IGNORE
        free = labels == BACKGROUND
        fine = np.isin(opinion, (DISC, CANAL, POSTERIOR))
        merged[free & fine & sure] = opinion[free & fine & sure]
        merged[free & fine & ~sure] = IGNORE
    else:
        # Below SPIDER's last disc there is no other vertebral body than the sacrum.
        known = sure & (opinion != BODY)
        merged[blank & known] = opinion[blank & known]
    return merged


def enrich(packed: Packed, opinion_of: Opinion, seed: int = 1) -> Packed:
    """Complete the labels of the training slices, and append one repainted slice for each of them."""
    chance = np.random.default_rng(seed)
    labels, complete = packed.labels.copy(), packed.complete.copy()
    images, marks, origin = [], [], []
    worthwhile = ~packed.held_out & (packed.labels == BODY).any(axis=(1, 2))
    # SPIDER's slices are only 0.9 mm apart and nearly alike.
    worthwhile &= (packed.source == BACKSPINE) | (np.arange(len(labels)) % _SPIDER_STRIDE == 0)
    for index in np.flatnonzero(worthwhile):
        opinion, probability = opinion_of(packed.images[index])
        labels[index] = complete_labels(
            packed.labels[index], int(packed.source[index]), opinion, probability > _SURE
        )
        complete[index] = True
        repaint = _REPAINTERS[int(chance.choice(len(_REPAINTERS), p=_SHARES))]
        image, label = repaint(packed.images[index], labels[index], chance)
        images.append(image)
        marks.append(label)
        origin.append(index)
        if len(origin) % 100 == 0:
            _LOG.info("%d slices", len(origin))
    chosen = np.array(origin)
    return Packed(
        images=np.concatenate([packed.images, np.stack(images)]),
        labels=np.concatenate([labels, np.stack(marks)]),
        source=np.concatenate([packed.source, packed.source[chosen]]),
        # Unique patient numbers, so that they are never averaged with neighbouring slices.
        patient=np.concatenate([packed.patient, -1 - np.arange(len(chosen))]),
        held_out=np.concatenate([packed.held_out, np.zeros(len(chosen), np.bool_)]),
        complete=np.concatenate([complete, np.ones(len(chosen), np.bool_)]),
        repainted=np.concatenate([packed.repainted, np.ones(len(chosen), np.bool_)]),
    )


def append_simulated(packed: Packed, patients: int) -> Packed:
    """Append slices of simulated patients, whose labels are complete."""
    rows, columns = packed.images.shape[1:]
    images, labels = [], []
    for image, label in simulated_slices(patients):
        # The spine is at the back of the image, so images that are too wide lose their front.
        padding = ((0, max(0, rows - image.shape[0])), (0, max(0, columns - image.shape[1])))
        images.append(np.pad(image[:rows, -columns:], padding))
        labels.append(np.pad(label[:rows, -columns:], padding))
    count = len(images)
    return Packed(
        images=np.concatenate([packed.images, np.stack(images)]),
        labels=np.concatenate([packed.labels, np.stack(labels)]),
        source=np.concatenate([packed.source, np.full(count, SIMULATED)]),
        patient=np.concatenate([packed.patient, -1_000_000 - np.arange(count)]),
        held_out=np.concatenate([packed.held_out, np.zeros(count, np.bool_)]),
        complete=np.concatenate([packed.complete, np.ones(count, np.bool_)]),
        repainted=np.concatenate([packed.repainted, np.zeros(count, np.bool_)]),
    )


def read_enriched(path: Path) -> Packed:
    """Read a file that this module wrote."""
    with np.load(path) as stored:
        return Packed(**{name: stored[name] for name in Packed.__slots__})


def main() -> None:
    """Read the pack and the weights, and write the enriched pack."""
    # They need torch, which the rest of this module does without.
    from analysis.segment.training.opinion import opinion_of
    from analysis.segment.training.reopen import open_network

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    network = open_network(Path(sys.argv[2]))
    rich = enrich(unpack(Path(sys.argv[1])), lambda image: opinion_of(network, image))
    rich = append_simulated(rich, _SIMULATED_PATIENTS)
    np.savez(sys.argv[3], **{name: getattr(rich, name) for name in Packed.__slots__})


if __name__ == "__main__":
    main()
