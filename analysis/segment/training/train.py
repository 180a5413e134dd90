"""Train the network for a given number of minutes and write its weights.

Run as ``python -m analysis.segment.training.train PACK OUT --minutes 9``. Written for one GPU; a CPU is
enough to try it out.
"""

import argparse
import copy
import logging
import math
import time
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from threading import Thread

import torch
from torch import Tensor
from torch.nn import functional

from analysis.segment.training.augment import change_contrast, cut_windows, degrade, standardise
from analysis.segment.training.enrich import read_enriched
from analysis.segment.training.pack import PACKED_MM, Packed, unpack
from analysis.segment.training.reopen import open_network, refill_norms
from analysis.segment.training.truth import (
    BACKSPINE,
    BODY,
    CANAL,
    DISC,
    IGNORE,
    POSTERIOR,
    SACRUM,
    SIMULATED,
    SPIDER,
)
from analysis.segment.training.unet import CLASSES, UNet, write_weights

Batch = tuple[Tensor, Tensor, Tensor]

_SHARES = (0.27, 0.22, 0.22, 0.29)
"""Fractions of BackSpine, SPIDER, repainted and simulated slices in a batch."""

_NORM_IMAGES = 64
_LOG = logging.getLogger(__name__)


class Slices:
    """All training slices on the device, which are drawn at random with a random slice thickness."""

    def __init__(self, packed: Packed, device: torch.device) -> None:
        self.images = torch.from_numpy(packed.images).to(device)
        self.labels = torch.from_numpy(packed.labels).to(device)
        self.complete = torch.from_numpy(packed.complete).to(device)
        self.patient = torch.from_numpy(packed.patient).to(device)
        usable = ~packed.held_out & (packed.labels != IGNORE).any(axis=(1, 2))
        pools = [
            usable & ~packed.repainted & (packed.source == BACKSPINE),
            usable & ~packed.repainted & (packed.source == SPIDER),
            usable & packed.repainted,
            usable & (packed.source == SIMULATED),
        ]
        self.odds = torch.zeros(len(usable), device=device)
        for pool, share in zip(pools, _SHARES, strict=True):
            self.odds[torch.from_numpy(pool).to(device)] = share / max(int(pool.sum()), 1)

    def draw(self, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return images (count, 1, rows, columns) from 0 to 1, labels, and `Packed.complete` of each."""
        chosen = torch.multinomial(self.odds, count, replacement=True)
        return self._thick(chosen)[:, None], self.labels[chosen], self.complete[chosen]

    def _thick(self, chosen: Tensor) -> Tensor:
        """Average adjacent slices of a patient: SPIDER's are 0.9 mm thick, clinical ones 3 to 5 mm."""
        images = self.images[chosen].float()
        total = torch.ones(len(chosen), 1, 1, device=images.device)
        half = torch.randint(0, 4, (len(chosen),), device=images.device)
        for step in (-3, -2, -1, 1, 2, 3):
            other = (chosen + step).clamp(0, len(self.images) - 1)
            wanted = (self.patient[other] == self.patient[chosen]) & (half >= abs(step)) & (other != chosen)
            weight = wanted.float().view(-1, 1, 1)
            images = images + self.images[other].float() * weight
            total = total + weight
        return images / total / 255


def merged_log_probabilities(logits: Tensor, complete: Tensor) -> Tensor:
    """Return log probabilities, merging the classes that incomplete labels count as background."""
    logs = functional.log_softmax(logits.float(), dim=1)
    rest = torch.logsumexp(logs[:, [0, DISC, CANAL, POSTERIOR]], dim=1)
    whole = complete.view(-1, 1, 1)
    return torch.cat([torch.where(whole, logs[:, 0], rest)[:, None], logs[:, 1:]], dim=1)


def loss_of(logits: Tensor, labels: Tensor, complete: Tensor) -> Tensor:
    """Return cross entropy plus soft Dice, each only where the source labels the class."""
    logs = merged_log_probabilities(logits, complete)
    entropy = functional.nll_loss(logs, labels, ignore_index=IGNORE)
    valid = (labels != IGNORE).float()
    dice = torch.zeros((), device=logits.device)
    for label in (BODY, SACRUM, DISC, CANAL, POSTERIOR):
        always = label in {BODY, SACRUM}
        here = valid if always else valid * complete.view(-1, 1, 1)
        wanted = (labels == label).float() * here
        given = logs[:, label].exp() * here
        overlap = 2 * (wanted * given).sum() + 1
        dice = dice + 1 - overlap / (wanted.sum() + given.sum() + 1)
    return entropy + 0.3 * dice


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """Duration, learning rate and batches of a training run.

    Attributes
    ----------
    minutes : float
        Duration, over which the learning rate falls to a hundredth.
    rate : float
        Highest learning rate.
    batch : int
        Slices per step.
    size : tuple of int
        Rows and columns of the windows, multiples of 32.
    """

    minutes: float
    rate: float
    batch: int
    size: tuple[int, int]

    def rate_at(self, done: float, step: int) -> float:
        """Return the learning rate after a fraction `done` of the time and `step` steps."""
        falling = 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done))
        return self.rate * min(1.0, step / 200) * falling


def train(slices: Slices, network: UNet, plan: TrainingPlan, out: Path) -> UNet:
    """Train until the time is up; return a network with the moving average of the weights."""
    device = slices.images.device
    average: UNet = copy.deepcopy(network).eval()
    optimiser = torch.optim.AdamW(network.parameters(), lr=plan.rate, weight_decay=0.02)
    batches: Queue[Batch] = Queue(maxsize=6)
    Thread(target=_keep_full, args=(batches, slices, plan), daemon=True).start()
    start, step, saved = time.monotonic(), 0, 0.0
    while (done := (time.monotonic() - start) / (60 * plan.minutes)) < 1:
        for group in optimiser.param_groups:
            group["lr"] = plan.rate_at(done, step)
        images, labels, complete = batches.get()
        with torch.autocast(device.type, torch.bfloat16):
            logits = network(images.contiguous(memory_format=torch.channels_last))
        loss = loss_of(logits, labels, complete)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        step += 1
        _average(average, network, min(0.999, step / (step + 10)))
        if step % 100 == 0:
            _LOG.info("%5.1f %% step %d loss %.4f", 100 * done, step, loss.item())
        if done - saved > 0.05:
            saved = done
            write_weights(average, out)
    return average


@torch.no_grad()
def _batch(slices: Slices, count: int, size: tuple[int, int]) -> Batch:
    images, labels, complete = slices.draw(count)
    images, labels = cut_windows(images, labels, PACKED_MM, size)
    return standardise(degrade(change_contrast(images, labels)), jitter=True), labels, complete


def _keep_full(batches: "Queue[Batch]", slices: Slices, plan: TrainingPlan) -> None:
    while True:
        batches.put(_batch(slices, plan.batch, plan.size))


@torch.no_grad()
def _average(average: UNet, network: UNet, keep: float) -> None:
    for mean, now in zip(average.parameters(), network.parameters(), strict=True):
        mean.lerp_(now, 1 - keep)
    for mean, now in zip(average.buffers(), network.buffers(), strict=True):
        if mean.dtype.is_floating_point:
            mean.lerp_(now, 1 - keep)


@torch.no_grad()
def held_out_dice(network: UNet, packed: Packed, device: torch.device) -> dict[str, float]:
    """Return the mean Dice by source and class over the held-out slices with that class."""
    scores: dict[str, list[float]] = {}
    for index in packed.held_out.nonzero()[0]:
        image = torch.from_numpy(packed.images[index]).to(device)[None, None].float() / 255
        label = torch.from_numpy(packed.labels[index]).to(device)[None, None].float()
        rows, columns = (round(length * PACKED_MM / 32) * 32 for length in label.shape[2:])
        image = functional.interpolate(image, size=(rows, columns), mode="bilinear", antialias=True)
        label = functional.interpolate(label, size=(rows, columns), mode="nearest")[0, 0].long()
        found = network(standardise(image, jitter=False)).argmax(dim=1)[0]
        for name in range(1, CLASSES):
            wanted, given = label == name, (found == name) & (label != IGNORE)
            if wanted.any():
                score = 2.0 * (wanted & given).sum() / (wanted.sum() + given.sum())
                scores.setdefault(f"source {packed.source[index]} class {name}", []).append(score.item())
    return {name: sum(values) / len(values) for name, values in sorted(scores.items())}


def main() -> None:
    """Parse the arguments and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pack", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--size", type=int, nargs=2, default=(224, 128))
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument(
        "--start", type=Path, help="weights (.pt) or the shipped network (.onnx) to go on from"
    )
    parser.add_argument("--enriched", action="store_true", help="PACK was written by `enrich`")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.manual_seed(1)
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = True
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    packed = read_enriched(arguments.pack) if arguments.enriched else unpack(arguments.pack)
    slices = Slices(packed, device)
    plan = TrainingPlan(arguments.minutes, arguments.rate, arguments.batch, tuple(arguments.size))
    network = open_network(arguments.start) if arguments.start else UNet()
    network = network.to(device, memory_format=torch.channels_last)
    if arguments.start:
        refill_norms(network, _batch(slices, _NORM_IMAGES, plan.size)[0])
    network.train()
    average = train(slices, network, plan, arguments.out)
    write_weights(average, arguments.out)
    for name, score in held_out_dice(average.float(), packed, device).items():
        _LOG.info("%s %.4f", name, score)


if __name__ == "__main__":
    main()
