/** @file A runtime that computes wrongly, for tests of checks. */

import { OrtRuntime, type Runtime, type Tensor } from '@onnx-lora/sdk';

/** A runtime with a fault in its inputs or outputs. */
export function faultyRuntime(fault: {
  feed?: (name: string, tensor: Tensor) => Tensor;
  output?: (name: string, tensor: Tensor) => Tensor;
}): Runtime {
  const { feed = (_, tensor) => tensor, output = (_, tensor) => tensor } = fault;
  const each = (tensors: Readonly<Record<string, Tensor>>, change: typeof feed): Record<string, Tensor> =>
    Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, change(name, tensor)]));
  return {
    async createSession(source, options) {
      const session = await new OrtRuntime().createSession(source, options);
      return {
        inputNames: session.inputNames,
        outputNames: session.outputNames,
        provider: session.provider,
        run: async (feeds, fetches) => each(await session.run(each(feeds, feed), fetches), output),
        release: () => session.release(),
      };
    },
  };
}
