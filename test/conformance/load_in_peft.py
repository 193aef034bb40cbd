"""Loads an adapter that was made elsewhere into PEFT, on modules like those of a case, and merges it.

python load_in_peft.py CASE FOLDER: CASE has case.json, FOLDER adapter/, base.safetensors and, where it merges,
merged.safetensors. Prints one line of JSON: keys that are missing or not known, and how far the merged weights differ.
"""

import json
import sys
from pathlib import Path

import torch
from peft import PeftConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file
from torch import nn
from transformers.pytorch_utils import Conv1D

case, folder = Path(sys.argv[1]), Path(sys.argv[2])
modules = json.loads((case / "case.json").read_text())["modules"]
base = load_file(folder / "base.safetensors")
given = load_file(folder / "adapter" / "adapter_model.safetensors")
# Cases list linear layers, convolutions and embeddings alone.
for name, value in given.items():
    path, norm, parameter = name.removeprefix("base_model.model.").partition(".ln_tuning_layers.")
    if norm and parameter == "weight":
        modules[path] = (list(value.shape), "LayerNorm")


def layer(path, shape, kind):
    bias = f"{path}.bias" in base
    if kind == "Linear":
        return nn.Linear(shape[1], shape[0], bias=bias)
    if kind == "Conv1D":
        return Conv1D(shape[1], shape[0])
    if kind == "Embedding":
        return nn.Embedding(*shape)
    if kind == "LayerNorm":
        return nn.LayerNorm(shape)
    convolutions = {"Conv1d": nn.Conv1d, "Conv2d": nn.Conv2d, "Conv3d": nn.Conv3d}
    return convolutions[kind](shape[1], shape[0], tuple(shape[2:]), bias=bias)


class Net(nn.Module):
    """Modules by their paths; it is never run."""

    config = {"model_type": "net"}

    def __init__(self):
        super().__init__()
        for path, (shape, kind) in modules.items():
            *above, name = path.split(".")
            place = self
            for part in above:
                if not hasattr(place, part):
                    place.add_module(part, nn.Module())
                place = getattr(place, part)
            place.add_module(name, layer(path, shape, kind))


net = Net()
with torch.no_grad():
    for name, parameter in net.named_parameters():
        if name in base:
            own = base[name]
            parameter.copy_(own.T if own.shape != parameter.shape else own)
config = PeftConfig.from_pretrained(folder / "adapter")
config.inference_mode = False
config.base_model_name_or_path = None
model = get_peft_model(net, config).eval()
set_peft_model_state_dict(model, given)
known = get_peft_model_state_dict(model)
missing, unexpected = sorted(set(known) - set(given)), sorted(set(given) - set(known))
kept = [name for name in set(known) & set(given) if not torch.equal(known[name].to(given[name].dtype), given[name])]
difference = None
merged = folder / "merged.safetensors"
try:
    plain = dict(model.merge_and_unload().named_parameters())
    difference = 0.0
    for name, wanted in load_file(merged).items() if merged.exists() else []:
        if name not in plain:
            continue
        found = plain[name].detach()
        found = found.T if found.shape != wanted.shape else found
        difference = max(difference, ((found - wanted).abs().max() / wanted.abs().max().clamp(min=1e-6)).item())
except NotImplementedError:
    pass
print(json.dumps({"missing": missing, "unexpected": unexpected + [f"{name} changed" for name in kept], "difference": difference}))
