"""Trains `turned/` with PEFT: vit-mnist learns to read rotated digits. `python train.py FOLDER`"""

import sys
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from vit_mnist import base, turned_digits

folder = Path(sys.argv[1])
torch.manual_seed(0)
model = get_peft_model(base(), LoraConfig(r=4, lora_alpha=8, use_rslora=True, target_modules=["q_proj", "v_proj"]))
pixels, labels = turned_digits()

optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=5e-3)
schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / 100)
for _ in range(100):
    batch = torch.randint(2000, (32,))
    loss = torch.nn.functional.cross_entropy(model(pixel_values=pixels[batch]).logits, labels[batch])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    schedule.step()

model.eval().save_pretrained(folder)
with torch.no_grad():
    right = (model(pixel_values=pixels[8000:]).logits.argmax(-1) == labels[8000:]).sum().item()
    print(f"{right} of {len(labels[8000:])} rotated digits right")
    some = pixels[8000:8004]
    save_file({"pixel_values": some, "logits": model(pixel_values=some).logits}, folder / "expected.safetensors")
