"""Adapts a Whisper with PEFT on torch, as `speech-recognition` does here: the same batches, rates and targets.

recognition_on_torch.py MODEL DATA ORDER    MODEL is a folder with Whisper's published ONNX files, from which torch's weights
are read; DATA a folder with manifest.csv (path, text, split); ORDER a JSON file
{ targets, batches: [[path, ...], ...], rates: [number, ...] }. Prints one line of JSON: error rates of the test split
before and after, seconds, CPU seconds and the largest resident memory while training.
"""

import csv
import json
import resource
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from transformers import PreTrainedTokenizerFast, WhisperFeatureExtractor
from transformers.models.whisper.english_normalizer import BasicTextNormalizer

# Nothing is left among the sources.
sys.dont_write_bytecode = True
from whisper_on_torch import load, read

THREADS, DECODED = 2, 8


def check(model, folder, features):
    import onnxruntime

    tokens = torch.tensor([[model.config.decoder_start_token_id, 50362, 1012]])
    encoder, decoder = (
        onnxruntime.InferenceSession(f"{folder}/onnx/{name}.onnx") for name in ("encoder_model", "decoder_model")
    )
    (states,) = encoder.run(["last_hidden_state"], {"input_features": features.numpy()})
    (expected,) = decoder.run(["logits"], {"input_ids": tokens.numpy(), "encoder_hidden_states": states})
    with torch.no_grad():
        found = model(input_features=features, decoder_input_ids=tokens).logits.numpy()
    worst = float(np.abs(found - expected).max())
    assert worst < 1e-2, f"torch's model is not that of the ONNX files: {worst}"


def clips_of(folder, data):
    extractor = WhisperFeatureExtractor.from_pretrained(folder)
    clips = {}
    for row in csv.DictReader(open(f"{data}/manifest.csv", encoding="utf-8")):
        made = extractor(read(f"{data}/{row['path']}"), sampling_rate=16000, return_tensors="pt")
        clips[row["path"]] = (made["input_features"], row["text"], row["split"])
    return clips


def edits(reference, hypothesis):
    """Edit distance of two lists."""
    row = np.arange(len(hypothesis) + 1)
    for i, each in enumerate(reference, 1):
        before, row = row, np.full(len(hypothesis) + 1, i)
        for j, other in enumerate(hypothesis, 1):
            row[j] = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (each != other))
    return int(row[-1])


def error_rates(model, tokenizer, clips):
    normal = BasicTextNormalizer(remove_diacritics=True)
    tests = [(features, text) for features, text, split in clips.values() if split == "test"]
    counts = np.zeros(4)
    for i in range(0, len(tests), DECODED):
        features, texts = zip(*tests[i : i + DECODED])
        with torch.no_grad():
            ids = model.generate(input_features=torch.cat(features), max_new_tokens=64, num_beams=1, do_sample=False)
        for text, heard in zip(texts, tokenizer.batch_decode(ids, skip_special_tokens=True)):
            said, heard = normal(text).strip(), normal(heard).strip()
            if said:
                counts += [edits(said.split(), heard.split()), len(said.split()), edits(said, heard), len(said)]
    return {"wer": counts[0] / counts[1], "cer": counts[2] / counts[3]}


def main(folder, data, order):
    torch.manual_seed(0)
    order = json.loads(Path(order).read_text())
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    clips = clips_of(folder, data)
    base = load(folder)
    check(base, folder, next(iter(clips.values()))[0])
    start, end = base.config.decoder_start_token_id, base.config.eos_token_id
    prefix = tokenizer.convert_tokens_to_ids("<|notimestamps|>")

    def batch_of(paths):
        encoded = [tokenizer(" " + clips[each][1], add_special_tokens=False).input_ids for each in paths]
        rows = [[prefix, *ids, end] for ids in encoded]
        length = max(map(len, rows))
        labels = torch.tensor([row + [-100] * (length - len(row)) for row in rows])
        tokens = torch.tensor([([start, *row] + [end] * length)[:length] for row in rows])
        return torch.cat([clips[each][0] for each in paths]), tokens, labels

    model = get_peft_model(base, LoraConfig(r=8, lora_alpha=16, target_modules=order["targets"]))
    trained = [each for each in model.parameters() if each.requires_grad]
    optimizer = torch.optim.AdamW(trained, 1e-3, weight_decay=0.01)
    began, cpu = time.perf_counter(), time.process_time()
    for paths, rate in zip(order["batches"], order["rates"]):
        features, tokens, labels = batch_of(paths)
        for group in optimizer.param_groups:
            group["lr"] = rate
        logits = model(input_features=features, decoder_input_ids=tokens).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    figures = {
        "seconds": time.perf_counter() - began,
        "cpu": time.process_time() - cpu,
        "peakMb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "loss": loss.item(),
    }
    after = error_rates(model, tokenizer, clips)
    with model.disable_adapter():
        before = error_rates(model, tokenizer, clips)
    parameters = sum(each.numel() for each in trained)
    print(json.dumps({**figures, "before": before, "after": after, "parameters": parameters}))


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    torch.set_num_threads(THREADS)
    main(*sys.argv[1:])
