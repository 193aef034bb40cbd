"""The benchmark's cases in PEFT on torch, on a model of the same sizes with random weights.

peft_on_torch.py versions              versions of torch, transformers and peft, the name of a GPU that torch sees, and
                                       what of the processor computes in bfloat16
peft_on_torch.py times SETTINGS        milliseconds of each case, round by round
peft_on_torch.py peak SETTINGS CASE    peak memory of a process that does only this case

SETTINGS is the benchmark's settings as JSON; where their provider is not `cpu`, torch computes on `cuda`. Prints one line of
JSON.
"""

import json
import resource
import sys
import time

import peft
import torch
import transformers

QUERY_AND_VALUE = (["query", "value"], ["q_proj", "v_proj"])
ALL_LINEAR = (
    ["query", "key", "value", "dense"],
    ["q_proj", "k_proj", "v_proj", "o_proj", "fc1", "fc2"],
)


def base_model(s):
    config = transformers.ViTConfig(
        hidden_size=s["hidden"],
        num_hidden_layers=s["layers"],
        num_attention_heads=s["heads"],
        intermediate_size=4 * s["hidden"],
        image_size=s["image"],
        patch_size=s["patch"],
        num_labels=s["classes"],
    )
    return transformers.ViTForImageClassification(config).eval()


def adapted(s, targets):
    model = base_model(s)
    old, new = targets
    # Module names changed in transformers 5.
    names = {name.rsplit(".", 1)[-1] for name, _ in model.named_modules()}
    config = peft.LoraConfig(
        r=s["r"], lora_alpha=2 * s["r"], target_modules=old if "query" in names else new
    )
    return peft.get_peft_model(model, config).eval()


def forward_case(model, batch):
    model.to(batch["labels"].device)

    def run():
        with torch.no_grad():
            # As on the other side, logits come back.
            return model(pixel_values=batch["pixel_values"]).logits.cpu()

    return run


def step_case(model, batch):
    model.to(batch["labels"].device)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4)

    def run():
        loss = model(**batch).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()

    return run


def cases(s, batch):
    return {
        "base": lambda: forward_case(base_model(s), batch),
        "lora": lambda: forward_case(adapted(s, QUERY_AND_VALUE), batch),
        "step": lambda: step_case(adapted(s, QUERY_AND_VALUE), batch),
        "allLinearStep": lambda: step_case(adapted(s, ALL_LINEAR), batch),
    }


def times(s, batch):
    runs = {name: load() for name, load in cases(s, batch).items()}
    result = {name: [] for name in runs}
    for number in range(-s["warmUps"], s["rounds"]):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if number >= 0:
                result[name].append(1e3 * (time.perf_counter() - start))
    return result


def peak(s, batch, name):
    run = cases(s, batch)[name]()
    for _ in range(4):
        run()
    return {"peakMb": peak_megabytes()}


def peak_megabytes():
    try:
        with open("/proc/self/status") as status:
            line = next(line for line in status if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    except OSError:
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return used / 2**20 if sys.platform == "darwin" else used / 1024


def main(command, settings="{}", name=""):
    if command == "versions":
        # torch exports Whisper and wav2vec 2.0 with it.
        import onnxscript  # noqa: F401

        found = {m.__name__: m.__version__ for m in (torch, transformers, peft)}
        if torch.cuda.is_available():
            found["gpu"] = torch.cuda.get_device_name(0)
        # Elsewhere torch computes in bfloat16 as well, and takes longer than in float32.
        if torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported():
            found["bfloat16"] = torch.backends.cpu.get_cpu_capability()
        return found
    s = json.loads(settings)
    torch.manual_seed(0)
    torch.set_num_threads(s["threads"])
    # As ONNX Runtime multiplies on NVIDIA's GPUs.
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True
    batch = {
        "pixel_values": torch.randn(s["batch"], 3, s["image"], s["image"]),
        "labels": torch.randint(0, s["classes"], (s["batch"],)),
    }
    if s["provider"] != "cpu":
        batch = {name: value.to("cuda") for name, value in batch.items()}
    return times(s, batch) if command == "times" else peak(s, batch, name)


print(json.dumps(main(*sys.argv[1:])))
