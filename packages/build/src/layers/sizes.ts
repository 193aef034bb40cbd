/** @file Sizes of a transformer, by the config fields that most models share. */

import type { Config } from '../checkpoint/config.ts';
import type { Activation } from './activations.ts';

/** Sizes of a transformer's layers. */
export interface TransformerSizes {
  readonly hidden: number;
  readonly layers: number;
  readonly heads: number;
  readonly inner: number;
  readonly act: Activation;
  readonly eps: number;
}

/** Heads and MLP of one of two stacks of layers. */
export type Stack = Pick<TransformerSizes, 'layers' | 'heads' | 'inner'>;

/** Defaults of the fields. */
export interface SizeDefaults {
  readonly hidden: number;
  readonly layers?: number;
  readonly heads: number;
  readonly inner: number;
  readonly act: string;
  readonly eps: number;
}

/** Reads the fields, with a class's defaults. */
export function transformerSizes(c: Config, absent: SizeDefaults): TransformerSizes {
  const hidden = c.size('hidden_size', absent.hidden);
  return {
    hidden,
    layers: c.size('num_hidden_layers', absent.layers ?? 12),
    heads: c.divisor('num_attention_heads', hidden, absent.heads),
    inner: c.size('intermediate_size', absent.inner),
    act: c.activation('hidden_act', absent.act),
    eps: c.number('layer_norm_eps', absent.eps),
  };
}
