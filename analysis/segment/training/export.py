"""Export the trained network to ONNX with half-precision weights, and write its checksum to its card.

Run as ``python -m analysis.segment.training.export WEIGHTS FOLDER VERSION``.
"""

import io
import json
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from analysis.segment.training.unet import UNet, read_weights

__all__ = ["export", "halve", "to_onnx"]

_OPSET = 17
_SMALL = 256


def to_onnx(network: UNet) -> onnx.ModelProto:
    """Trace the network for any number of slices and any size in multiples of 32."""
    buffer = io.BytesIO()
    sizes = {0: "slices", 2: "rows", 3: "columns"}
    torch.onnx.export(
        network.eval(),
        (torch.rand(2, 1, 64, 96),),
        buffer,
        input_names=["image"],
        output_names=["logits"],
        dynamic_axes={"image": sizes, "logits": sizes},
        opset_version=_OPSET,
        dynamo=False,
    )
    return onnx.load_from_string(buffer.getvalue())


def halve(model: onnx.ModelProto) -> onnx.ModelProto:
    """Store large weights in 16 bits, with a cast to 32 bits that the runtime folds away."""
    kept, casts = [], []
    for weights in model.graph.initializer:
        values = numpy_helper.to_array(weights)
        if weights.data_type != TensorProto.FLOAT or values.size < _SMALL:
            kept.append(weights)
            continue
        kept.append(numpy_helper.from_array(values.astype(np.float16), weights.name + "_half"))
        casts.append(helper.make_node("Cast", [weights.name + "_half"], [weights.name], to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.initializer[:], model.graph.node[:]
    model.graph.initializer.extend(kept)
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model)
    return model


def export(weights: Path, folder: Path, version: str) -> str:
    """Write ``segmenter.onnx`` and its digest and version in ``card.json``; return the digest."""
    network = UNet()
    network.load_state_dict(read_weights(weights))
    content = halve(to_onnx(network)).SerializeToString()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "segmenter.onnx").write_bytes(content)
    card = folder / "card.json"
    described = (
        json.loads(card.read_text(encoding="utf-8")) if card.exists() else {"name": "OsteoNode segmenter"}
    )
    digest = sha256(content).hexdigest()
    described |= {"version": version, "sha256": digest}
    card.write_text(json.dumps(described, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return digest


if __name__ == "__main__":
    sys.stdout.write(export(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]) + "\n")
