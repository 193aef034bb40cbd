"""Loads an adapter with PEFT, and holds it against outputs that were computed elsewhere. `python check.py FOLDER`

FOLDER holds the adapter, and `expected.safetensors` with `pixel_values` and the `logits` that they shall give.
"""

import sys
import warnings
from pathlib import Path

import torch
from peft import PeftModel
from safetensors.torch import load_file
from vit_mnist import base, turned_digits

warnings.filterwarnings("error", message="Found missing adapter keys")  # PEFT would load half an adapter.
folder = Path(sys.argv[1])
model = PeftModel.from_pretrained(base(), folder).eval()
expected = load_file(folder / "expected.safetensors")
pixels, labels = turned_digits()
with torch.no_grad():
    off = (model(pixel_values=expected["pixel_values"]).logits - expected["logits"]).abs().max().item()
    right = (model(pixel_values=pixels[8000:]).logits.argmax(-1) == labels[8000:]).sum().item()
print(f"logits off by at most {off:.1e}; {right} of {len(labels[8000:])} rotated digits right")
sys.exit(off > 1e-4)
