/** @file A place where graphs run: ONNX Runtime as it is, with options of its own. */

import { OrtRuntime } from '@onnx-lora/sdk';
import type { ProviderFactory } from '@onnx-lora/sdk/plugin';

/** `--provider one-core`: leaves the other cores to whatever else the machine does. */
export const oneCore: ProviderFactory = {
  name: 'one-core',
  description: 'The CPU, one core of it.',
  create: () => {
    const runtime = new OrtRuntime();
    return { createSession: (source, options) => runtime.createSession(source, { ...options, threads: 1 }) };
  },
};
