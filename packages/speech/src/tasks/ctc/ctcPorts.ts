/** @file Recognises models that say a character for each frame, and finds what goes in and comes out. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { listedPorts, type TaskModel } from '@onnx-lora/sdk/tasks';
import { type SoundPorts, soundPorts } from '../soundFeeds.ts';

/** Inputs and output of a CTC model. */
export interface CtcPorts extends SoundPorts {
  /** Scores `[batch, frames, labels]`, float32; absent in an encoder without a head. */
  readonly logits?: string;
  /** How many labels there are; absent where the graph does not say. */
  readonly labels?: number;
  /** Features `[batch, frames, width]` of an encoder without a head, on which one can be put. */
  readonly states?: string;
}

/**
 * True for a model that takes sound alone and gives scores for each frame, with no decoder behind it; and for an encoder of
 * speech that could, if it had a head.
 */
export function isCtc(model: TaskModel): boolean {
  const inputs = Object.keys(model.inputs).filter((name) => name !== 'attention_mask');
  const hears = inputs.length === 1 && ['input_values', 'input_features'].includes(inputs[0]!);
  // Encoders of models that write token by token have no head for frames, and need none.
  const hasDecoder = model.config?.['is_encoder_decoder'] === true;
  const { logits, last_hidden_state: states } = model.outputs;
  return hears && !hasDecoder && (logits ?? states)?.dims?.length === 3;
}

/** @throws OnnxLoraError `MODEL_UNSUPPORTED`, with what the graph has */
export function ctcPorts(model: TaskModel): CtcPorts {
  const { logits, last_hidden_state: states } = model.outputs;
  const given = logits ?? states;
  if (given?.type !== 'float32' || given.dims?.length !== 3) {
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `"${model.name}" has no float32 output "logits" [batch, frames, labels] (it has ${listedPorts(model.outputs)}). Use the float32 file of a model with a CTC head.`,
    );
  }
  const labels = given.dims[2];
  const port = logits
    ? { logits: 'logits', ...(typeof labels === 'number' && { labels }) }
    : { states: 'last_hidden_state' };
  return { ...soundPorts(model), ...port };
}
