/** @file Where sound goes into a classifier and scores come out. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { type HeadPort, listedPorts, type TaskModel } from '@onnx-lora/sdk/tasks';
import { type SoundPorts, soundPorts } from '../audioFeeds.ts';

/** Inputs of a model of sound, and its scores, where it gives some. */
export interface AudioPorts extends SoundPorts {
  readonly head?: HeadPort;
}

/** @throws OnnxLoraError `MODEL_UNSUPPORTED`, with what the graph has */
export function audioPorts(model: TaskModel): AudioPorts {
  const { logits } = model.outputs;
  const outputs = logits?.dims?.[1];
  const isHead = logits?.type === 'float32' && logits.dims?.length === 2 && typeof outputs === 'number';
  return { ...soundPorts(model), ...(isHead && { head: { output: 'logits', outputs } }) };
}

/**
 * The same of a model that must have a head.
 *
 * @throws OnnxLoraError `MODEL_UNSUPPORTED`
 */
export function classifierPorts(model: TaskModel): AudioPorts & { readonly head: HeadPort } {
  const { head, ...rest } = audioPorts(model);
  if (head) return { ...rest, head };
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `"${model.name}" does not classify sound: it has no float32 output "logits" [batch, classes] (it has ${listedPorts(model.outputs)}). Name the adapter that brings its head, or export it with one.`,
  );
}
