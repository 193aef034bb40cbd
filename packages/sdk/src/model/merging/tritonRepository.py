"""Reads a model repository as Triton does: its configs by the published proto, and its graphs with Python's ONNX Runtime,
which takes optional inputs as Triton's does. The feeds are in a safetensors-like JSON on stdin; prints what each model answers.
"""

import json
import os
import sys

import numpy as np
from google.protobuf import json_format, text_format
from tritonclient.grpc import model_config_pb2

root = sys.argv[1]
rows = json.load(sys.stdin)
configs = {}
for name in sorted(os.listdir(root)):
    with open(os.path.join(root, name, "config.pbtxt")) as file:
        configs[name] = text_format.Parse(file.read(), model_config_pb2.ModelConfig())

answers = {}
try:
    import onnxruntime as ort
except ImportError:
    ort = None


def run(name, feeds):
    """What a model gives for feeds, as Triton's backends and its ensembles have it."""
    config = configs[name]
    if config.platform != "ensemble":
        options = ort.SessionOptions()
        options.log_severity_level = 3
        session = ort.InferenceSession(os.path.join(root, name, "1", "model.onnx"), options)
        known = {each.name: each for each in session.get_inputs() + session.get_overridable_initializers()}
        assert {each.name for each in config.input if each.optional} == {
            each.name for each in session.get_overridable_initializers()
        }
        for each in list(config.input) + list(config.output):
            shape = known[each.name].shape if each in config.input else None
            for port in session.get_outputs():
                if port.name == each.name and shape is None:
                    shape = port.shape
            # As the backend compares them: what the runtime knows as a number must stand in the config.
            assert len(shape) == len(each.dims), each.name
            assert all(not isinstance(a, int) or a == b for a, b in zip(shape, each.dims)), (each.name, shape, each.dims)
        names = [each.name for each in session.get_outputs()]
        return dict(zip(names, session.run(names, feeds)))
    tensors = dict(feeds)
    for step in config.ensemble_scheduling.step:
        given = run(step.model_name, {to: tensors[value] for to, value in step.input_map.items()})
        tensors.update({value: given[key] for key, value in step.output_map.items()})
    return {each.name: tensors[each.name] for each in config.output}


if ort is not None:
    for name, config in configs.items():
        if name.endswith("-weights"):
            continue
        feeds = {each.name: np.array(rows, np.float32) for each in config.input if not each.optional}
        answers[name] = {key: value.ravel().tolist() for key, value in run(name, feeds).items()}

json.dump(
    {"configs": {name: json_format.MessageToDict(each) for name, each in configs.items()}, "answers": answers}, sys.stdout
)
