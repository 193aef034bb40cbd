/** @file Which value of a model is the feature of a recording. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { type GraphPort, listedPorts, type TaskModel } from '@onnx-lora/sdk/tasks';
import { didYouMean } from '@onnx-lora/sdk/plugin';

/** The value that is the feature. */
export interface SoundFeature {
  /** Name of the output: float32 `[batch, width]`, or `[batch, frames, width]`, of which the mean is taken. */
  readonly output: string;
  /** The same, where it is inside the graph and no output. */
  readonly inner: readonly string[];
}

/** Outputs that are features, the best first: of x-vectors, of AST, of encoders. */
const usual = ['embeddings', 'pooler_output', 'last_hidden_state'];

/**
 * The output that is named; else a usual one; else, of a classifier or recogniser, what its head reads (`before-head`).
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for a name that no output has; `MODEL_UNSUPPORTED` for a model without features
 */
export function soundFeature(model: TaskModel, named?: string): SoundFeature {
  if (named !== undefined && named !== 'before-head') {
    const port = model.outputs[named];
    if (port && isFeature(port)) return { output: named, inner: [] };
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      port
        ? `The output "${named}" of "${model.name}" is ${listedPorts({ [named]: port })}, and features are float32 [batch, width] or [batch, frames, width]. Name another output.`
        : `"${model.name}" has no output "${named}".${didYouMean(named, Object.keys(model.outputs))} Its outputs are ${listedPorts(model.outputs)}.`,
    );
  }
  const found = usual.find((name) => model.outputs[name] && isFeature(model.outputs[name]));
  if (found !== undefined && named === undefined) return { output: found, inner: [] };
  const before = 'logits' in model.outputs ? model.headInput?.('logits') : undefined;
  if (before && isFeature(before)) return { output: before.name, inner: [before.name] };
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `"${model.name}" gives no features of sound: its outputs are ${listedPorts(model.outputs)}. Export the encoder with "last_hidden_state", or name an output of [batch, frames, width].`,
  );
}

function isFeature({ type, dims }: GraphPort): boolean {
  return type === 'float32' && (dims === undefined || dims.length === 2 || dims.length === 3);
}
