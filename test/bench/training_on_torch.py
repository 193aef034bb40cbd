"""Training steps of PEFT on torch, and the same models as ONNX files with the same random weights.

training_on_torch.py export MODEL FILE           writes the model
training_on_torch.py step MODEL TARGETS STEPS    milliseconds of each step and peak memory, as one line of JSON

MODEL is one of the names below, TARGETS `q,v` or `all`. Weights are random: speed does not depend on them.
"""

import json
import sys
import time
import warnings

import torch
import transformers

THREADS = 2


def vit(**sizes):
    model = transformers.ViTForImageClassification(transformers.ViTConfig(num_labels=100, **sizes))
    inputs = {"pixel_values": torch.randn(8, 3, 224, 224)}
    return model, inputs, torch.randint(0, 100, (8,))


def esm(hidden, layers):
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
    ids = torch.randint(4, 24, (8, 256))
    return model, {"input_ids": ids, "attention_mask": torch.ones_like(ids)}, ids


def whisper():
    model = transformers.WhisperForConditionalGeneration(
        transformers.WhisperConfig(
            vocab_size=51865,
            d_model=384,
            encoder_layers=4,
            decoder_layers=4,
            encoder_attention_heads=6,
            decoder_attention_heads=6,
            encoder_ffn_dim=1536,
            decoder_ffn_dim=1536,
        )
    )
    labels = torch.randint(0, 50000, (4, 48))
    return model, {"input_features": torch.randn(4, 80, 3000), "decoder_input_ids": labels}, labels


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
MODELS = {
    "vit-s": lambda: vit(hidden_size=384, num_attention_heads=6, intermediate_size=1536),
    "vit-b": vit,
    "esm2-8m": lambda: esm(320, 6),
    "esm2-35m": lambda: esm(480, 12),
    "whisper-tiny": whisper,
    "wav2vec2-base": wav2vec2,
    "sam-b": sam,
}


def output(result):
    return result.logits if "logits" in result else result.last_hidden_state


def export(name, file):
    model, inputs, _ = MODELS[name]()
    model.eval()
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


def step(name, targets, steps):
    from peft import LoraConfig, get_peft_model

    model, inputs, labels = MODELS[name]()
    wanted = ALL if targets == "all" else ATTENTION
    there = {path.rsplit(".", 1)[-1] for path, _ in model.named_modules()}
    config = LoraConfig(r=8, lora_alpha=16, target_modules=[each for each in wanted if each in there])
    model = get_peft_model(model.eval(), config).eval()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 1e-4)

    def once():
        if labels is None:
            loss = output(model(**inputs)).pow(2).mean()
        else:
            loss = model(**inputs, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    once()
    times = []
    for _ in range(steps):
        start = time.perf_counter()
        once()
        times.append((time.perf_counter() - start) * 1e3)
    with open("/proc/self/status") as status:
        peak = next(line for line in status if line.startswith("VmHWM"))
    print(json.dumps({"stepMs": times, "peakMb": int(peak.split()[1]) / 1024}))


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    torch.manual_seed(0)
    torch.set_num_threads(THREADS)
    if sys.argv[1] == "export":
        export(*sys.argv[2:])
    else:
        step(sys.argv[2], sys.argv[3], int(sys.argv[4]))
