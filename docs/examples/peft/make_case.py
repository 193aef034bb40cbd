"""Writes a model, and what PEFT computes for it, as a conformance case. `python make_case.py FOLDER`

`write_case` is for any model with one output; what stands below it, a small net, is to be replaced by yours.
"""

import json
import sys
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors.torch import load_file, save_file


def write_case(folder, model, config, inputs, output, labels, loss, steps=8, lr=5e-3):
    """`inputs` by name; `output` is its name in the ONNX file; `loss` is cross-entropy or mse, of the output and labels."""
    losses = {"cross-entropy": torch.nn.functional.cross_entropy, "mse": torch.nn.functional.mse_loss}
    model.eval()  # no dropout
    folder.mkdir(parents=True, exist_ok=True)
    batch = {name: {0: torch.export.Dim("batch")} for name in inputs}
    names = {"input_names": list(inputs), "output_names": [output]}
    file = str(folder / "model.onnx")
    torch.onnx.export(model, kwargs=inputs, f=file, dynamic_shapes=batch, external_data=False, **names)
    save_file({**inputs, "labels": labels}, folder / "inputs.safetensors")
    modules = {
        name: [list(module.weight.shape), type(module).__name__]
        for name, module in model.named_modules()
        if isinstance(module, (torch.nn.Linear, torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Embedding))
    }
    expected = {f"base.{output}": model(**inputs).detach()}

    tuned = get_peft_model(model, config).eval()
    trained = {name: parameter for name, parameter in tuned.named_parameters() if parameter.requires_grad}
    with torch.no_grad():
        for parameter in trained.values():  # B begins as zeros, which would hide mistakes
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    tuned.save_pretrained(folder / "adapter")
    expected[f"lora.{output}"] = tuned(**inputs).detach()

    optimizer = torch.optim.AdamW(trained.values(), lr=lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01)
    seen = []
    for step in range(steps + 1):
        optimizer.zero_grad()
        value = losses[loss](tuned(**inputs), labels)
        value.backward()
        seen.append(value.item())
        if step == 0:
            expected["lora.loss"] = value.detach()
            expected |= {f"lora.grad.{saved_name(name)}": each.grad.clone() for name, each in trained.items()}
        if step < steps:
            optimizer.step()
    tuned.save_pretrained(folder / "trained")
    expected[f"trained.{output}"] = tuned(**inputs).detach()
    save_file(expected, folder / "expected.safetensors")

    tuned.load_adapter(folder / "adapter", "first")
    tuned.set_adapter("first")
    adapted = [name for name, module in tuned.base_model.model.named_modules() if isinstance(module, BaseTunerLayer)]
    merged = tuned.merge_and_unload().state_dict()
    weights = {f"{name}.weight": merged[f"{name}.weight"].contiguous() for name in adapted}
    save_file(weights, folder / "merged.safetensors")

    description = {
        "inputs": list(inputs),
        "outputs": [output],
        "loss": {"kind": loss, "output": output},
        "adapted": sorted(adapted),
        "trainable": sorted(load_file(folder / "adapter/adapter_model.safetensors")),
        "modules": modules,
        "train": {
            "optimizer": "adamw",
            "lr": lr,
            "betas": [0.9, 0.999],
            "eps": 1e-8,
            "weightDecay": 0.01,
            "steps": steps,
            "losses": seen,
        },
    }
    (folder / "case.json").write_text(json.dumps(description, indent=1) + "\n")


def saved_name(name):
    """A parameter's name as `save_pretrained` writes it."""
    return name.replace(".default", "")


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.up = torch.nn.Linear(8, 16)
        self.down = torch.nn.Linear(16, 8)
        self.head = torch.nn.Linear(8, 3)

    def forward(self, x):
        return self.head(x + self.down(torch.nn.functional.gelu(self.up(x))))


if __name__ == "__main__":
    torch.manual_seed(0)
    config = LoraConfig(r=4, lora_alpha=8, target_modules=["up", "down"])
    inputs = {"x": torch.randn(6, 8)}
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    write_case(Path(sys.argv[1]), Net(), config, inputs, "logits", labels, "cross-entropy")
