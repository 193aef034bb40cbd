"""Training steps of PEFT on torch, and the same models as ONNX files with the same random weights.

training_on_torch.py export MODEL FILE           writes the model; as a checkpoint where FILE has no ending
training_on_torch.py step MODEL TARGETS STEPS [DEVICE [PRECISION]]
                                                 milliseconds of each step and to the end of the first, without making
                                                 weights, and peak memory, as one line of JSON

MODEL is one of the names below, TARGETS `q,v` or `all`, DEVICE `cpu` (default) or `cuda`, PRECISION `float32` (default), with
TF32 on a GPU, or `float16`: automatic mixed precision with a gradient scaler. Weights are random: speed does not depend on
them.
"""

import json
import subprocess
import sys
import time
import warnings

START = time.perf_counter()

import torch
import transformers

THREADS = 2


def vit(batch=8, image_size=224, **sizes):
    config = transformers.ViTConfig(num_labels=100, image_size=image_size, **sizes)
    inputs = {"pixel_values": torch.randn(batch, 3, image_size, image_size)}
    return transformers.ViTForImageClassification(config), inputs, torch.randint(0, 100, (batch,))


def bert():
    model = transformers.BertForSequenceClassification(transformers.BertConfig(num_labels=100))
    ids = torch.randint(1000, 30000, (8, 128))
    return model, {"input_ids": ids, "attention_mask": torch.ones_like(ids)}, torch.randint(0, 100, (8,))


def causal(config, positions, dtype=torch.float32):
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(config)
    model = model.to(dtype).to_empty(device="cpu")
    for name, value in model.named_parameters():
        torch.nn.init.normal_(value, 1.0 if "norm" in name else 0.0, 0.02)
    # Buffers of positions are computed, not drawn.
    model.model.rotary_emb = type(model.model.rotary_emb)(config)
    model.tie_weights()
    ids = torch.randint(0, config.vocab_size, (1, positions))
    return model, {"input_ids": ids, "attention_mask": torch.ones_like(ids)}, ids


QWEN2 = {
    "vocab_size": 151936, "hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24,
    "num_attention_heads": 14, "num_key_value_heads": 2, "tie_word_embeddings": True,
}  # fmt: skip
LLAMA = {
    "vocab_size": 128256, "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16,
    "num_attention_heads": 32, "num_key_value_heads": 8, "tie_word_embeddings": True,
}  # fmt: skip


def esm(hidden, layers, batch=8):
    model = transformers.EsmForMaskedLM(
        transformers.EsmConfig(
            vocab_size=33,
            hidden_size=hidden,
            num_hidden_layers=layers,
            num_attention_heads=20,
            intermediate_size=4 * hidden,
            max_position_embeddings=1026,
            position_embedding_type="rotary",
            token_dropout=True,
            mask_token_id=32,
            pad_token_id=1,
            emb_layer_norm_before=False,
        )
    )
    ids = torch.randint(4, 24, (batch, 256))
    return model, {"input_ids": ids, "attention_mask": torch.ones_like(ids)}, ids


def whisper(width=384, layers=4, heads=6, batch=4):
    model = transformers.WhisperForConditionalGeneration(
        transformers.WhisperConfig(
            vocab_size=51865,
            d_model=width,
            encoder_layers=layers,
            decoder_layers=layers,
            encoder_attention_heads=heads,
            decoder_attention_heads=heads,
            encoder_ffn_dim=4 * width,
            decoder_ffn_dim=4 * width,
        )
    )
    labels = torch.randint(0, 50000, (batch, 48))
    return model, {"input_features": torch.randn(batch, 80, 3000), "decoder_input_ids": labels}, labels


def wav2vec2():
    model = transformers.Wav2Vec2ForCTC(transformers.Wav2Vec2Config(ctc_zero_infinity=True))
    return model, {"input_values": torch.randn(4, 5 * 16000)}, torch.randint(1, 31, (4, 30))


def sam():
    model = transformers.SamVisionModel(transformers.SamVisionConfig())
    return model, {"pixel_values": torch.randn(1, 3, 1024, 1024)}, None


ATTENTION = ["query", "value", "q_proj", "v_proj", "qkv"]
ALL = ATTENTION + [
    "key", "dense", "k_proj", "o_proj", "out_proj", "fc1", "fc2",
    "intermediate_dense", "output_dense", "proj", "lin1", "lin2",
]  # fmt: skip
TINY = {"hidden_size": 192, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 768, "patch_size": 8}
MODELS = {
    "vit-tiny": lambda: vit(batch=2, image_size=32, **TINY),
    "vit-s": lambda: vit(hidden_size=384, num_attention_heads=6, intermediate_size=1536),
    "vit-b": vit,
    "esm2-8m": lambda: esm(320, 6),
    "esm2-35m": lambda: esm(480, 12),
    "whisper-tiny": whisper,
    "wav2vec2-base": wav2vec2,
    "sam-b": sam,
    "bert-base": bert,
    "esm2-150m": lambda: esm(640, 30, batch=2),
    "vit-l": lambda: vit(batch=2, hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096),
    "whisper-small": lambda: whisper(768, 12, 12, batch=1),
    "qwen2-0.5b": lambda: causal(transformers.Qwen2Config(**QWEN2), 128),
    "qwen2-0.5b-bf16": lambda: causal(transformers.Qwen2Config(**QWEN2), 128, torch.bfloat16),
    "llama-1b": lambda: causal(transformers.LlamaConfig(**LLAMA), 512),
}


def output(result):
    return result.logits if "logits" in result else result.last_hidden_state


def export(name, file):
    model, inputs, _ = MODELS[name]()
    model.eval()
    if not file.endswith(".onnx"):
        model.save_pretrained(file)
        print("{}")
        return
    names = list(inputs)
    forward = model.forward
    model.forward = lambda *values: output(
        forward(**dict(zip(names, values)), **({"use_cache": False} if name.startswith("whisper") else {}))
    )
    values = tuple(inputs.values())
    if name.startswith("whisper"):
        # The older exporter has no operator for what the decoder's mask does.
        shapes = (tuple({0: "batch"} for _ in names),)
        torch.onnx.export(
            model, values, file, input_names=names, output_names=["output"], opset_version=18,
            dynamo=True, dynamic_shapes=shapes, external_data=True, verbose=False,
        )  # fmt: skip
    else:
        axes = {each: {0: "batch"} for each in [*names, "output"]}
        torch.onnx.export(
            model, values, file, input_names=names, output_names=["output"], opset_version=17,
            dynamo=False, dynamic_axes=axes,
        )  # fmt: skip
    print("{}")


def gpu_megabytes():
    """Memory in use on the GPUs, by nvidia-smi as on the other side; None without it."""
    try:
        query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
        return sum(float(line) for line in subprocess.check_output(query, text=True).split())
    except (OSError, subprocess.CalledProcessError, ValueError):
        return None


def step(name, targets, steps, device="cpu", precision="float32"):
    from peft import LoraConfig, get_peft_model

    before = gpu_megabytes() if device == "cuda" else None
    # As ONNX Runtime multiplies on NVIDIA's GPUs.
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True
    making = time.perf_counter()
    model, inputs, labels = MODELS[name]()
    making = time.perf_counter() - making
    inputs = {key: value.to(device) for key, value in inputs.items()}
    labels = None if labels is None else labels.to(device)
    wanted = ALL if targets == "all" else ATTENTION
    there = {path.rsplit(".", 1)[-1] for path, _ in model.named_modules()}
    config = LoraConfig(r=8, lora_alpha=16, target_modules=[each for each in wanted if each in there])
    model = get_peft_model(model.eval(), config).eval().to(device)
    mixed = {"float16": torch.float16, "bfloat16": torch.bfloat16}.get(precision)
    scaler = torch.amp.GradScaler(device, enabled=precision == "float16")
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 1e-4)
    # The fastest that torch has for a processor.
    if precision == "bfloat16":
        model = torch.compile(model)

    def once():
        with torch.autocast(device, mixed, enabled=mixed is not None):
            if labels is None:
                loss = output(model(**inputs)).float().pow(2).mean()
            else:
                loss = model(**inputs, labels=labels).loss
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad(set_to_none=True)
        if device == "cuda":
            torch.cuda.synchronize()

    # What is compiled is compiled once more in its second step.
    for _ in range(2 if precision == "bfloat16" else 1):
        once()
    first = (time.perf_counter() - START - making) * 1e3
    times = []
    for _ in range(steps):
        start = time.perf_counter()
        once()
        times.append((time.perf_counter() - start) * 1e3)
    with open("/proc/self/status") as status:
        peak = next(line for line in status if line.startswith("VmHWM"))
    found = {"stepMs": times, "firstMs": first, "peakMb": int(peak.split()[1]) / 1024}
    # Taken from the device is never given back before the end: it is the peak.
    print(json.dumps(found if before is None else {**found, "gpuMb": gpu_megabytes() - before}))


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    torch.manual_seed(0)
    torch.set_num_threads(THREADS)
    if sys.argv[1] == "export":
        export(*sys.argv[2:])
    else:
        step(sys.argv[2], sys.argv[3], int(sys.argv[4]), *sys.argv[5:])
