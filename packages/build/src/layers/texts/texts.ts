/** @file What models of texts take: token ids, masks, types. */

import type { Value } from '@onnx-lora/sdk/tasks';
import type { Module } from '../module.ts';

/** Inputs of an encoder of texts, int64 `[batch, sequence]`. */
export interface TextInputs {
  /** `input_ids`. */
  readonly ids: Value;
  /** `attention_mask`: 1 for what is no padding. */
  readonly mask: Value;
  /** `token_type_ids`, of models that know types. */
  readonly types?: Value;
}

/** How inputs are declared. */
export interface TextOptions {
  /** Whether there are types. */
  readonly types?: boolean;
  /** The name of the batch, where there are two. */
  readonly batch?: string;
}

/** Declares the inputs. */
export function textInputs({ graph }: Module, { types = false, batch = 'batch_size' }: TextOptions = {}): TextInputs {
  const declare = (name: string): Value => graph.input(name, 'int64', [batch, 'sequence_length']);
  const [ids, mask] = [declare('input_ids'), declare('attention_mask')];
  return { ids, mask, ...(types ? { types: declare('token_type_ids') } : {}) };
}
