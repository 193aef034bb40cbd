"""What PEFT on torch reaches on images, on one thread: accuracy_on_torch.py ORDER.json

The order: {"model": folder, "train": [[file, class], …], "test": [[file, class], …], "classes": n, "newHead": bool, "targets": [name, …]
or "all-linear", "steps", "batch", "lr", "r", "alpha", "seed", "adapter": folder of an adapter to measure as well}. Prints JSON:
{"accuracy", "cpuSeconds", "adapterAccuracy"}.
"""

import json
import os
import sys
import time

os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")

import torch  # noqa: E402
from peft import LoraConfig, PeftModel, get_peft_model  # noqa: E402
from transformers import AutoModelForImageClassification  # noqa: E402
from transformers.image_utils import load_image  # noqa: E402

try:
    from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil as Processor
except ImportError:  # transformers 4
    from transformers import ViTImageProcessor as Processor

order = json.load(open(sys.argv[1]))
torch.set_num_threads(1)
torch.manual_seed(order["seed"])
processor = Processor.from_pretrained(order["model"])


def loaded(examples):
    images = [load_image(file) for file, _ in examples]
    pixels = torch.tensor(processor(images, return_tensors="np")["pixel_values"])
    return pixels, torch.tensor([label for _, label in examples])


def base():
    # The new head of transformers begins with values of this seed.
    torch.manual_seed(order["seed"])
    return AutoModelForImageClassification.from_pretrained(
        order["model"], num_labels=order["classes"], ignore_mismatched_sizes=True
    )


@torch.no_grad()
def accuracy(model, pixels, labels):
    model.eval()
    answers = torch.cat([model(pixel_values=part).logits.argmax(-1) for part in pixels.split(100)])
    return (answers == labels).float().mean().item()


train, test = loaded(order["train"]), loaded(order["test"])
model = base()
if order["newHead"] and model.classifier.weight.shape[0] == order["classes"]:
    torch.nn.init.normal_(model.classifier.weight, std=0.02)
    torch.nn.init.zeros_(model.classifier.bias)
config = LoraConfig(
    r=order["r"],
    lora_alpha=order["alpha"],
    target_modules=order["targets"],
    modules_to_save=["classifier"] if order["newHead"] else None,
)
model = get_peft_model(model, config)
start = time.process_time()
model.train()
optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], order["lr"])
schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / order["steps"])
rows = torch.cat([torch.randperm(len(train[1])) for _ in range(order["steps"] * order["batch"] // len(train[1]) + 1)])
for step in range(order["steps"]):
    own = rows[step * order["batch"] : (step + 1) * order["batch"]]
    loss = model(pixel_values=train[0][own], labels=train[1][own]).loss
    loss.backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    schedule.step()
seconds = time.process_time() - start
found = {"accuracy": accuracy(model, *test), "cpuSeconds": seconds}
if "adapter" in order:
    found["adapterAccuracy"] = accuracy(PeftModel.from_pretrained(base(), order["adapter"]), *test)
print(json.dumps(found))
