"""The part of onnx-lora on a Ray cluster's nodes: runs its command as tasks."""

__version__ = "0.0.0"
