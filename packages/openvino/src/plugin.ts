/** @file The plugin with OpenVINO's providers. */

import { definePlugin, type Plugin, type ProviderFactory } from '@onnx-lora/sdk/plugin';
import { OpenvinoRuntime } from './runtime.ts';

const provider = (name: string, device: string, description: string): ProviderFactory => ({
  name,
  description,
  create: () => new OpenvinoRuntime({ name, device }),
});

/** Plugin with the providers `openvino` (the CPU), `openvino:GPU` and `openvino:NPU`. */
export const openvinoPlugin: Plugin = definePlugin({
  name: '@onnx-lora/openvino',
  description: "OpenVINO: Intel's CPUs in bfloat16, GPUs and NPUs",
  providers: [
    provider('openvino', 'CPU', 'OpenVINO on the CPU'),
    provider('openvino:GPU', 'GPU', "OpenVINO on Intel's GPU"),
    provider('openvino:NPU', 'NPU', "OpenVINO on Intel's NPU"),
  ],
});
