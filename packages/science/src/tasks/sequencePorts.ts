/** @file Where sequences go into a model. */

import { listedPorts, OnnxLoraError, type TaskModel } from '@onnx-lora/sdk';
import type { SequencePorts } from './sequenceTask.ts';

/** Inputs beside the ids, by the part that they play. */
const others = { mask: 'attention_mask', types: 'token_type_ids', positions: 'position_ids' } as const;

/**
 * The inputs of a model that reads token ids: `input_ids`, or its only other input of whole numbers `[batch, tokens]`.
 *
 * @throws OnnxLoraError `MODEL_UNSUPPORTED`, with what the graph takes
 */
export function sequencePorts(model: TaskModel): SequencePorts {
  const known = new Set<string>(Object.values(others));
  const rest = Object.keys(model.inputs).filter((name) => !known.has(name));
  const [ids] = rest;
  const wrong = Object.entries(model.inputs).find(([, { type }]) => type !== 'int64' && type !== 'int32');
  const rank = ids === undefined ? undefined : model.inputs[ids]!.dims?.length;
  if (ids === undefined || rest.length > 1 || wrong || (rank !== undefined && rank !== 2)) {
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `"${model.name}" does not read sequences alone: that is one input of token ids, int64 "input_ids" [batch, tokens], perhaps with ${Object.values(others).join(', ')}, but its inputs are ${listedPorts(model.inputs)}. Use the encoder of a model of proteins, nucleotides or molecules.`,
    );
  }
  const length = model.inputs[ids]!.dims?.[1];
  return {
    ids,
    ...Object.fromEntries(Object.entries(others).filter(([, name]) => Object.hasOwn(model.inputs, name))),
    ...(typeof length === 'number' && { length }),
  };
}
