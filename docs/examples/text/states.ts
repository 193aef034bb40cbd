/** @file Which output of a model holds the states of its tokens. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { TaskModel } from '@onnx-lora/sdk/tasks';

/** The output with a vector for each token. @throws OnnxLoraError `MODEL_UNSUPPORTED` without one */
export function statesOf({ name, outputs }: TaskModel): string {
  const found = Object.entries(outputs).find(([, { type, dims }]) => type === 'float32' && dims?.length === 3);
  if (found) return found[0];
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `"${name}" has no output [batch, tokens, width]. Export the encoder with last_hidden_state.`,
  );
}
