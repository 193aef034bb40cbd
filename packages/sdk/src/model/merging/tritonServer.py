"""Asks Triton itself, from the wheel of nvidia-pytriton: it reads the repository and runs its ensembles. That wheel has the
backend for Python alone, in which ONNX Runtime stands here for the one that Triton's images have.
"""

import glob
import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time

import numpy as np
import pytriton
import tritonclient.http as triton

BACKEND = """
import os, sys
sys.path[:0] = PATHS
import onnxruntime as ort
import triton_python_backend_utils as pb

class TritonPythonModel:
    def initialize(self, args):
        options = ort.SessionOptions()
        options.log_severity_level = 3
        self.session = ort.InferenceSession(os.path.join(args["model_repository"], "1", "model.onnx"), options)

    def execute(self, requests):
        names = [each.name for each in self.session.get_outputs()]
        answers = [self.session.run(names, {t.name(): t.as_numpy() for t in each.inputs()}) for each in requests]
        return [pb.InferenceResponse([pb.Tensor(*each) for each in zip(names, values)]) for values in answers]
"""

root, port, rows = sys.argv[1], int(sys.argv[2]), json.load(sys.stdin)
packages = os.path.dirname(os.path.dirname(pytriton.__file__))
server = os.path.join(os.path.dirname(pytriton.__file__), "tritonserver")
with tempfile.TemporaryDirectory() as folder:
    repository, backends = os.path.join(folder, "repository"), os.path.join(folder, "backends")
    shutil.copytree(root, repository)
    for file in glob.glob(os.path.join(repository, "*", "config.pbtxt")):
        with open(file) as given:
            text = given.read()
        with open(file, "w") as changed:
            changed.write(text.replace('backend: "onnxruntime"', 'backend: "python"'))
        if "onnxruntime" in text:
            with open(os.path.join(os.path.dirname(file), "1", "model.py"), "w") as model:
                model.write(BACKEND.replace("PATHS", repr([packages])))
    shutil.copytree(os.path.join(server, "backends", "python"), os.path.join(backends, "python"))
    for file in glob.glob(os.path.join(server, "python_backend_stubs", sysconfig.get_python_version(), "*")):
        shutil.copy(file, os.path.join(backends, "python"))
    libraries = [os.path.join(packages, "nvidia_pytriton.libs"), sysconfig.get_config_var("LIBDIR")]
    log = open(os.path.join(folder, "log"), "w+b")
    process = subprocess.Popen(
        [
            os.path.join(server, "bin", "tritonserver"),
            f"--model-repository={repository}",
            f"--backend-directory={backends}",
            "--http-address=127.0.0.1",
            f"--http-port={port}",
            "--allow-grpc=false",
            "--allow-metrics=false",
        ],
        env={**os.environ, "LD_LIBRARY_PATH": ":".join(libraries), "PYTHONPATH": packages},
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        client = triton.InferenceServerClient(f"127.0.0.1:{port}")
        for _ in range(300):
            time.sleep(0.1)
            if process.poll() is not None:
                log.seek(0)
                raise RuntimeError(log.read().decode()[-3000:])
            try:
                if client.is_server_ready():
                    break
            except OSError:
                pass
        x = np.array(rows, np.float32)
        feeds = [triton.InferInput("x", list(x.shape), "FP32").set_data_from_numpy(x)]
        names = [each for each in os.listdir(root) if not each.endswith("-weights")]
        json.dump({name: client.infer(name, feeds).as_numpy("logits").ravel().tolist() for name in names}, sys.stdout)
    finally:
        # With its stubs, which are of its group.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
