"""Adapts a small SAM with PEFT on torch, as `promptable-segmentation` does here: one prompt point for each image.

sam_on_torch.py MODEL DATA WHERE MASKS SEED    WHERE is `encoder` or `decoder`, MASKS `three` or `one`

MODEL is a folder with config.json and the two published ONNX files, from which torch's weights are read; DATA a folder
with manifest.csv (image, mask, x, y, split). Prints one line of JSON: mean IoU before and after, and seconds.
"""

import csv
import json
import re
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import numpy_helper
from PIL import Image
from transformers import SamConfig, SamImageProcessor, SamModel

THREADS, STEPS, BATCH, RATE = 2, 240, 12, 2e-3
TARGETS = {
    "encoder": r".*vision_encoder\.layers\.\d+\.(attn\.(qkv|proj)|mlp\.(lin1|lin2))",
    "decoder": r".*mask_decoder\.transformer\..*(q_proj|k_proj|v_proj|out_proj|lin1|lin2)",
}


def tensors(file):
    """Weights by torch's names, and those whose names the export has lost, by kind and in order."""
    graph = onnx.load(file).graph
    stored = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    named = {name: value for name, value in stored.items() if not name.startswith("onnx::")}
    for node in graph.node:
        if node.op_type == "MatMul" and node.input[1] in stored:
            named[".".join(node.name.strip("/").split("/")[:-1]) + ".weight"] = stored[node.input[1]].T
    lost = {}
    for name, value in stored.items():
        if name.startswith("onnx::") and "MatMul" not in name:
            lost.setdefault((name[6:].split("_")[0], value.ndim), []).append(value)
    return named, lost


def load(folder):
    model = SamModel(SamConfig.from_pretrained(folder)).eval()
    state, lost = tensors(f"{folder}/onnx/vision_encoder.onnx")
    positions = lost["Resize", 3]
    for i in range(model.config.vision_config.num_hidden_layers):
        for axis, value in zip("hw", positions[2 * i : 2 * i + 2]):
            state[f"vision_encoder.layers.{i}.attn.rel_pos_{axis}"] = value[0].T
    for i in range(2):
        state[f"vision_encoder.neck.layer_norm{i + 1}.weight"] = lost["Mul", 3][i].ravel()
        state[f"vision_encoder.neck.layer_norm{i + 1}.bias"] = lost["Add", 3][i].ravel()
    decoder, lost = tensors(f"{folder}/onnx/prompt_encoder_mask_decoder.onnx")
    state |= decoder
    for i in range(2):
        state[f"prompt_encoder.point_embed.{i}.weight"] = lost["Add", 4][i].reshape(1, -1)
    state["prompt_encoder.no_mask_embed.weight"] = lost["Expand", 4][0].reshape(1, -1)
    state["mask_decoder.iou_token.weight"] = lost["Expand", 2][0][:1]
    state["mask_decoder.mask_tokens.weight"] = lost["Expand", 2][0][1:]
    state["mask_decoder.upscale_layer_norm.weight"] = lost["Mul", 3][0].ravel()
    state["mask_decoder.upscale_layer_norm.bias"] = lost["Add", 3][0].ravel()
    wanted = model.state_dict()
    found = {name: torch.tensor(np.ascontiguousarray(value)) for name, value in state.items() if name in wanted}
    model.load_state_dict(found, strict=False)
    # What the ONNX files leave out: prompts that are boxes or masks.
    rest = [name for name in wanted if name not in found and not re.search(r"mask_embed|point_embed\.[23]", name)]
    assert not rest, rest
    return model


def check(model, folder, batch):
    import onnxruntime

    sessions = [
        onnxruntime.InferenceSession(f"{folder}/onnx/{name}.onnx")
        for name in ("vision_encoder", "prompt_encoder_mask_decoder")
    ]
    pixels, points, labels = (batch[name] for name in ("pixel_values", "input_points", "input_labels"))
    names = [each.name for each in sessions[0].get_outputs()]
    embeddings = dict(zip(names, sessions[0].run(names, {"pixel_values": pixels.numpy()})))
    feeds = {"input_points": points.numpy(), "input_labels": labels.numpy(), **embeddings}
    (expected,) = sessions[1].run(["pred_masks"], feeds)
    with torch.no_grad():
        found = model(**batch, multimask_output=True).pred_masks.numpy()
    worst = float(np.abs(found - expected).max())
    assert worst < 1e-2, f"torch's model is not that of the ONNX files: {worst}"


def read(folder, data):
    processor = SamImageProcessor.from_pretrained(folder)
    splits = {}
    for row in csv.DictReader(open(f"{data}/manifest.csv")):
        image = Image.open(f"{data}/{row['image']}").convert("RGB")
        mask = np.array(Image.open(f"{data}/{row['mask']}").convert("L")) > 127
        pixels = processor(image, return_tensors="pt")["pixel_values"][0]
        points = torch.tensor([[float(row["x"]), float(row["y"])]])
        splits.setdefault(row["split"], []).append((pixels, points, torch.tensor(mask)))
    return splits


def batch_of(examples):
    pixels, points, masks = zip(*examples)
    points = torch.stack(points)[:, None]
    labels = torch.ones(points.shape[:3], dtype=torch.int64)
    return {"pixel_values": torch.stack(pixels), "input_points": points, "input_labels": labels}, torch.stack(masks)


def dice(logits, targets):
    p = logits.sigmoid().flatten(1)
    y = targets.flatten(1)
    return 1 - (2 * (p * y).sum(1) + 1) / (p.sum(1) + y.sum(1) + 1)


def loss_of(output, masks):
    logits = output.pred_masks[:, 0]
    size = logits.shape[-2:]
    targets = F.interpolate(masks[:, None].float(), size, mode="area").expand_as(logits)
    costs = torch.stack(
        [
            F.binary_cross_entropy_with_logits(x, y, reduction="none").flatten(1).mean(1) + dice(x, y)
            for x, y in zip(logits.unbind(1), targets.unbind(1))
        ],
        1,
    )
    if logits.shape[1] == 1:
        return costs.mean()
    with torch.no_grad():
        found, true = logits > 0, targets > 0.5
        iou = (found & true).flatten(2).sum(2) / (found | true).flatten(2).sum(2).clamp(min=1)
        best = iou.argmax(1, keepdim=True)
    predicted = output.iou_scores[:, 0]
    return costs.gather(1, best).mean() + (predicted - iou).pow(2).mean()


def mean_iou(model, examples, many):
    values = []
    with torch.no_grad():
        for i in range(0, len(examples), BATCH):
            inputs, masks = batch_of(examples[i : i + BATCH])
            output = model(**inputs, multimask_output=many)
            logits = F.interpolate(output.pred_masks[:, 0], masks.shape[-2:], mode="bilinear", align_corners=False)
            choice = output.iou_scores[:, 0].argmax(1)
            for each, i_best, mask in zip(logits, choice, masks):
                found = each[i_best] > 0
                values.append(((found & mask).sum() / (found | mask).sum().clamp(min=1)).item())
    return float(np.mean(values))


def main(folder, data, where, masks, seed):
    torch.manual_seed(int(seed))
    from peft import LoraConfig, get_peft_model

    many = masks == "three"
    splits = read(folder, data)
    base = load(folder)
    check(base, folder, batch_of(splits["test"][:4])[0])
    before = mean_iou(base, splits["test"], many)
    model = get_peft_model(base, LoraConfig(r=8, lora_alpha=16, target_modules=TARGETS[where]))
    trained = [each for each in model.parameters() if each.requires_grad]
    optimizer = torch.optim.AdamW(trained, RATE, weight_decay=0.0)
    start, cpu = time.perf_counter(), time.process_time()
    order = []
    for step in range(STEPS):
        while len(order) < BATCH:
            order += torch.randperm(len(splits["train"])).tolist()
        inputs, wanted = batch_of([splits["train"][i] for i in order[:BATCH]])
        order = order[BATCH:]
        for group in optimizer.param_groups:
            group["lr"] = RATE * (1 - step / STEPS)
        loss_of(model(**inputs, multimask_output=many), wanted).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    figures = {"before": before, "after": mean_iou(model, splits["test"], many), "seconds": seconds, "cpu": cpu}
    print(json.dumps({**figures, "parameters": sum(each.numel() for each in trained)}))


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    torch.set_num_threads(THREADS)
    main(*sys.argv[1:])
