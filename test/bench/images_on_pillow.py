"""Decodes and preprocesses photos as transformers does with Pillow, on one thread: images_on_pillow.py FOLDER PIXELS NAME…

A NAME is a file and a processor, `500x375.jpg ViT`. Prints the CPU milliseconds of one image, by name, as JSON: {"imageMs": {…}}.
"""

import json
import math
import os
import sys
import time

os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")

from PIL import Image  # noqa: E402
from transformers.image_utils import load_image  # noqa: E402

try:
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil as CLIP
    from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil as ViT
except ImportError:  # transformers 4
    from transformers import CLIPImageProcessor as CLIP
    from transformers import ViTImageProcessor as ViT

folder, pixels, *names = sys.argv[1:]
processors = {"ViT": ViT(), "CLIP": CLIP()}
found = {}
for name in names:
    file, processor = name.split()
    path = os.path.join(folder, file)
    process = processors[processor]
    with Image.open(path) as image:
        count = math.ceil(int(pixels) / (image.width * image.height))
    for _ in range(min(count, 20)):
        process(load_image(path), return_tensors="np")
    start = time.process_time()
    for _ in range(count):
        process(load_image(path), return_tensors="np")
    found[name] = (time.process_time() - start) * 1000 / count
print(json.dumps({"imageMs": found}))
