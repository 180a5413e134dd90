"""Load the shipped network for further training, so that no weights outside the repository are needed."""

from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from analysis.segment.training.unet import UNet, read_weights

__all__ = ["open_network", "refill_norms"]


def open_network(path: Path) -> UNet:
    """Read a network from weights (``.pt``) or from an exported model (``.onnx``).

    Parameters
    ----------
    path : Path
        A file that `unet.write_weights` or `export.export` wrote.

    Returns
    -------
    UNet
        The network. The batch norms of an exported model are folded into its convolutions, so call
        `refill_norms` before training.
    """
    network: UNet = UNet().eval()
    if path.suffix != ".onnx":
        network.load_state_dict(read_weights(path))
        return network
    model = onnx.load(str(path))
    stored = {one.name: numpy_helper.to_array(one).astype(np.float32) for one in model.graph.initializer}
    halved = {node.output[0]: node.input[0] for node in model.graph.node if node.op_type == "Cast"}
    modules = dict(network.named_modules())
    for node in model.graph.node:
        if node.op_type != "Conv":
            continue
        weight, *bias = (torch.from_numpy(stored[halved.get(name, name)]) for name in node.input[1:])
        *parents, name = node.name.removesuffix("/Conv").strip("/").split("/")
        # The exporter names a member of a sequence "stem/stem.1", and any other module "down.0/first".
        own = name if name.rpartition(".")[0] in parents else ".".join([*parents, name])
        convolution = modules[own]
        _set(convolution, weight, bias[0] if convolution.bias is not None else None)
        if bias and convolution.bias is None:
            _make_shift(modules[_norm_after(own)], bias[0])
    return network


def _norm_after(convolution: str) -> str:
    return "stem.2" if convolution == "stem.1" else f"{convolution}_norm"


@torch.no_grad()
def _set(convolution: nn.Module, weight: Tensor, bias: Tensor | None) -> None:
    convolution.weight.copy_(weight)
    if bias is not None:
        convolution.bias.copy_(bias)


@torch.no_grad()
def _make_shift(norm: nn.BatchNorm2d, shift: Tensor) -> None:
    """Make a batch norm add a constant and do nothing else."""
    norm.running_mean.zero_()
    norm.running_var.fill_(1.0 - norm.eps)
    norm.weight.fill_(1.0)
    norm.bias.copy_(shift)


@torch.no_grad()
def refill_norms(network: UNet, images: Tensor) -> None:
    """Give batch norms the statistics of `images`, and scales that leave the output unchanged.

    Training normalises by the statistics of each batch, so a folded norm (mean 0, variance 1) would change
    the output at once.

    Parameters
    ----------
    network : UNet
        The result of `open_network`; changed in place.
    images : Tensor of shape (n, 1, rows, columns)
        Images as in training.
    """

    def refill(norm: nn.BatchNorm2d, inputs: tuple[Tensor]) -> None:
        mean, variance = inputs[0].mean(dim=(0, 2, 3)), inputs[0].var(dim=(0, 2, 3))
        gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        norm.bias.add_(gain * (mean - norm.running_mean))
        norm.weight.copy_(gain * torch.sqrt(variance + norm.eps))
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)

    hooks = [
        one.register_forward_pre_hook(refill) for one in network.modules() if isinstance(one, nn.BatchNorm2d)
    ]
    network.eval()(images)
    for hook in hooks:
        hook.remove()
