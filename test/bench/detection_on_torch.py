"""Adapts a small RT-DETR with PEFT on torch, as `object-detection` does here: linear layers and convolutions.

detection_on_torch.py MODEL DATA SEED

MODEL is a folder with config.json and model.safetensors; DATA a folder with `train` and `test`, each with
annotations.json and images. Prints one line of JSON: mean average precision before and after, seconds, peak memory.
"""

import contextlib
import io
import json
import math
import resource
import sys
import time
import warnings
from pathlib import Path

import torch
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import nn
from transformers import RTDetrForObjectDetection, RTDetrImageProcessor

THREADS, EPOCHS, BATCH, RATE, WARMUP, DECAY, CLIP = 2, 20, 10, 3e-3, 20, 0.01, 1.0


def read(processor, folder):
    """Pixels and labels of each scene, and its number in the file."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(Path(folder) / "annotations.json"))
    examples = []
    for number in sorted(truth.imgs):
        name = truth.imgs[number]["file_name"]
        file = next(each for each in (Path(folder) / name, Path(folder) / "images" / name) if each.exists())
        target = {"image_id": number, "annotations": truth.loadAnns(truth.getAnnIds([number]))}
        made = processor(Image.open(file).convert("RGB"), annotations=target, return_tensors="pt")
        labels = {name: made["labels"][0][name] for name in ("class_labels", "boxes")}
        examples.append((made["pixel_values"][0], labels, number))
    return truth, examples


def scores(model, processor, truth, examples):
    found = []
    with torch.no_grad():
        for i in range(0, len(examples), BATCH):
            part = examples[i : i + BATCH]
            output = model(torch.stack([pixels for pixels, _, _ in part]))
            sizes = [(truth.imgs[number]["height"], truth.imgs[number]["width"]) for _, _, number in part]
            answers = processor.post_process_object_detection(output, threshold=0.0, target_sizes=sizes)
            for (_, _, number), answer in zip(part, answers):
                for score, label, (x0, y0, x1, y1) in zip(*(answer[name].tolist() for name in ("scores", "labels", "boxes"))):
                    box = [x0, y0, x1 - x0, y1 - y0]
                    found.append({"image_id": number, "category_id": label, "bbox": box, "score": score})
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(truth, truth.loadRes(found), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats[0], evaluation.stats[1]


def rate(step, steps):
    if step < WARMUP:
        return RATE * (step + 1) / WARMUP
    return RATE * 0.5 * (1 + math.cos(math.pi * (step - WARMUP) / (steps - WARMUP)))


def main(folder, data, seed):
    torch.manual_seed(int(seed))
    from peft import LoraConfig, get_peft_model

    processor = RTDetrImageProcessor.from_pretrained(folder)
    base = RTDetrForObjectDetection.from_pretrained(folder).eval()
    base.config.num_denoising = 0
    base.model.config.num_denoising = 0
    _, train = read(processor, Path(data) / "train")
    truth, test = read(processor, Path(data) / "test")
    before, _ = scores(base, processor, truth, test)
    targets = [name for name, module in base.named_modules() if isinstance(module, (nn.Linear, nn.Conv2d))]
    model = get_peft_model(base, LoraConfig(r=8, lora_alpha=16, target_modules=targets)).eval()
    trained = [each for each in model.parameters() if each.requires_grad]
    optimizer = torch.optim.AdamW(trained, RATE, weight_decay=DECAY)
    start, cpu = time.perf_counter(), time.process_time()
    steps = EPOCHS * (len(train) // BATCH)
    order = []
    for step in range(steps):
        while len(order) < BATCH:
            order += torch.randperm(len(train)).tolist()
        part = [train[i] for i in order[:BATCH]]
        order = order[BATCH:]
        for group in optimizer.param_groups:
            group["lr"] = rate(step, steps)
        output = model(torch.stack([pixels for pixels, _, _ in part]), labels=[labels for _, labels, _ in part])
        output.loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, CLIP)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    after, after50 = scores(model, processor, truth, test)
    figures = {"before": before, "after": after, "after50": after50, "seconds": seconds, "cpu": cpu, "peakMb": peak}
    print(json.dumps({name: float(value) for name, value in figures.items()}))


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    torch.set_num_threads(THREADS)
    main(*sys.argv[1:])
