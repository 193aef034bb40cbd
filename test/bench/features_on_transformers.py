"""Makes features of sound as transformers does, on one thread: features_on_transformers.py numpy|torch FILE ROUNDS.

FILE holds float32 samples at 16 kHz. Prints the CPU milliseconds of one clip, by class and size, as JSON: {"soundMs": {…}}.
"""

import json
import os
import sys
import time

os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import numpy as np  # noqa: E402
import torch  # noqa: E402
import transformers.models.whisper.feature_extraction_whisper as whisper  # noqa: E402
from transformers import (  # noqa: E402
    ASTFeatureExtractor,
    SeamlessM4TFeatureExtractor,
    Wav2Vec2FeatureExtractor,
    WhisperFeatureExtractor,
)

kind, file, rounds = sys.argv[1:]
torch.set_num_threads(1)
extractors = {f"Whisper, {mels} mels": WhisperFeatureExtractor(feature_size=mels) for mels in (80, 128)}
if kind == "numpy":
    # Whisper's extractor takes torch wherever it is installed.
    whisper.is_torch_available = lambda: False
    extractors["AST"] = ASTFeatureExtractor()
    extractors["SeamlessM4T"] = SeamlessM4TFeatureExtractor()
    extractors["Wav2Vec2"] = Wav2Vec2FeatureExtractor()
samples = np.fromfile(file, np.float32)
found = {}
for name, extractor in extractors.items():
    times = []
    for _ in range(int(rounds)):
        start = time.process_time()
        extractor(samples, sampling_rate=16000, return_tensors="np")
        times.append((time.process_time() - start) * 1000)
    found[name] = min(times)
print(json.dumps({"soundMs": found}))
