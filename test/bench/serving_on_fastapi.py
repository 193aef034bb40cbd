"""A server as one writes it with FastAPI and PEFT: a model of the same sizes with random weights, adapters a0, a1 ...

serving_on_fastapi.py ORDER     ORDER is JSON with `config`, `r` and `adapters`; prints the port that it listens on

A request is one of the Open Inference Protocol with binary tensors. It names its adapter, which is set before the forward
pass; one request is computed at a time, since all share the model.
"""

import asyncio
import json
import socket
import sys
from threading import Lock

import numpy
import peft
import torch
import transformers
import uvicorn
from fastapi import FastAPI, Request

TYPES = {"FP32": numpy.float32, "INT64": numpy.int64}


def adapted(config, r, count):
    kind = config.pop("model_type")
    made = {
        "vit": (transformers.ViTConfig, transformers.ViTForImageClassification),
        "bert": (transformers.BertConfig, transformers.BertForSequenceClassification),
    }[kind]
    model = made[1](made[0](**config)).eval()
    # Module names changed in transformers 5.
    names = {name.rsplit(".", 1)[-1] for name, _ in model.named_modules()}
    targets = ["query", "value"] if "query" in names else ["q_proj", "v_proj"]
    lora = peft.LoraConfig(r=r, lora_alpha=2 * r, target_modules=targets)
    model = peft.get_peft_model(model, lora, adapter_name="a0")
    for i in range(1, count):
        model.add_adapter(f"a{i}", lora)
    return model.eval()


def inputs_of(body, size):
    header = json.loads(body[:size])
    values = {}
    for each in header["inputs"]:
        count = each["parameters"]["binary_data_size"]
        array = numpy.frombuffer(body[size : size + count], TYPES[each["datatype"]])
        values[each["name"]] = torch.from_numpy(array.reshape(each["shape"]).copy())
        size += count
    return header["parameters"]["lora"], values


def main(order):
    model = adapted(order["config"], order["r"], order["adapters"])
    lock = Lock()
    app = FastAPI()

    def infer(adapter, values):
        with lock, torch.inference_mode():
            if model.active_adapter != adapter:
                model.set_adapter(adapter, inference_mode=True)
            return model(**values).logits[0].tolist()

    @app.post("/")
    async def answer(request: Request):
        size = int(request.headers["inference-header-content-length"])
        adapter, values = inputs_of(await request.body(), size)
        return await asyncio.to_thread(infer, adapter, values)

    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    print(listening.getsockname()[1], flush=True)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
    server.run(sockets=[listening])


main(json.loads(sys.argv[1]))
