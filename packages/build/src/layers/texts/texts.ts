/** @file Inputs of text models: token ids, masks, types. */

import type { Value } from '@onnx-lora/sdk/tasks';
import type { Module } from '../module.ts';

/** Inputs of a text encoder, int64 `[batch, sequence]`. */
export interface TextInputs {
  readonly ids: Value;
  /** `attention_mask`: 1 for real tokens. */
  readonly mask: Value;
  readonly types?: Value;
}

export interface TextOptions {
  readonly types?: boolean;
  /** Name of the batch dimension, where there are two. */
  readonly batch?: string;
}

/** Declares the inputs of a text encoder. */
export function textInputs({ graph }: Module, { types = false, batch = 'batch_size' }: TextOptions = {}): TextInputs {
  const declare = (name: string): Value => graph.input(name, 'int64', [batch, 'sequence_length']);
  const [ids, mask] = [declare('input_ids'), declare('attention_mask')];
  return { ids, mask, ...(types ? { types: declare('token_type_ids') } : {}) };
}
