"""Transcribes recordings with transformers on torch, as `test/bench/transcribe.ts` does here.

whisper_on_torch.py MODEL DATA NAME COUNT BATCH THREADS    NAME is `clips` or `windows`

MODEL is a folder with Whisper's published ONNX files, from which torch's weights are read; DATA a folder with manifest.csv
(path, text, duration, split) and WAV files of 8 kHz. Prints one line of JSON: seconds of sound, of time and of all threads,
megabytes, and the texts.
"""

import csv
import json
import resource
import sys
import time
import warnings
import wave
from pathlib import Path

import numpy as np
import onnx
import torch
import transformers
from onnx import numpy_helper
from scipy.signal import resample_poly
from transformers import (
    GenerationConfig,
    PreTrainedTokenizerFast,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
)

WINDOW = 28


def tensors(file, prefix):
    """Weights by torch's names: those of linear layers, whose names the export has lost, by their nodes."""
    graph = onnx.load(file).graph
    stored = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    named = {name: value for name, value in stored.items() if not name.startswith("onnx::")}
    for node in graph.node:
        if node.op_type == "MatMul" and node.input[1].startswith("onnx::") and node.input[1] in stored:
            named[".".join(node.name.strip("/").split("/")[:-1]) + ".weight"] = stored[node.input[1]].T
    return {name if name.startswith(("model.", "proj_out")) else prefix + name: value for name, value in named.items()}


def load(folder):
    model = WhisperForConditionalGeneration(WhisperConfig.from_pretrained(folder)).eval()
    state = tensors(f"{folder}/onnx/encoder_model.onnx", "model.encoder.")
    state |= tensors(f"{folder}/onnx/decoder_model.onnx", "")
    found = {name: torch.tensor(np.ascontiguousarray(value)) for name, value in state.items()}
    result = model.load_state_dict(found, strict=False)
    # Sinusoids, which transformers makes itself; and the tied head.
    assert set(result.missing_keys) <= {"model.encoder.embed_positions.weight", "proj_out.weight"}, result
    assert not result.unexpected_keys, result
    model.generation_config = GenerationConfig.from_pretrained(folder)
    return model


def read(file):
    with wave.open(str(file)) as sound:
        samples = np.frombuffer(sound.readframes(sound.getnframes()), "<i2") / 32768
        return resample_poly(samples, 16000, sound.getframerate()).astype(np.float32)


def joined(sounds):
    windows = [[]]
    for sound in sounds:
        if sum(map(len, windows[-1])) + len(sound) > WINDOW * 16000:
            windows.append([])
        windows[-1].append(sound)
    return [np.concatenate(window) for window in windows]


def main():
    folder, data, name, count, batch, threads = sys.argv[1:]
    warnings.filterwarnings("ignore")
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(int(threads))
    model = load(folder)
    extractor = WhisperFeatureExtractor.from_pretrained(folder)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    rows = [row for row in csv.DictReader(open(Path(data, "manifest.csv"))) if row["split"] == "test"][: int(count)]

    def texts(clips):
        features = extractor(clips, sampling_rate=16000, return_tensors="pt").input_features
        return tokenizer.batch_decode(model.generate(features), skip_special_tokens=True)

    with torch.inference_mode():
        texts([read(Path(data, rows[0]["path"]))])
        start, cpu = time.perf_counter(), time.process_time()
        sounds = [read(Path(data, row["path"])) for row in rows]
        clips = sounds if name == "clips" else joined(sounds)
        found = [text.strip() for i in range(0, len(clips), int(batch)) for text in texts(clips[i : i + int(batch)])]
        seconds, used = time.perf_counter() - start, time.process_time() - cpu
    print(
        json.dumps(
            {
                "audio": sum(map(len, sounds)) / 16000,
                "seconds": seconds,
                "cpu": used,
                "peakMb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                "texts": found,
            }
        )
    )


if __name__ == "__main__":
    main()
