/** @file BERT: Devlin et al. 2018. */

import type { Value } from '@onnx-lora/sdk/tasks';
import type { Architecture } from '../../architecture.ts';
import type { Config } from '../../checkpoint/config.ts';
import { selfAttention } from '../../layers/attention.ts';
import { bertHead, maskedLanguageHead } from '../../layers/heads.ts';
import type { Module } from '../../layers/module.ts';
import { type SizeDefaults, type TransformerSizes, transformerSizes } from '../../layers/sizes.ts';
import { paddingMask, type TextInputs, textInputs } from '../../layers/texts/texts.ts';
import { type Encoded, pooled, textEncoder } from './textEncoder.ts';

export interface BertSizes extends TransformerSizes {
  readonly vocabulary: number;
  readonly positions: number;
  readonly types: number;
  /** Rows of the task table; the first is used; absent without a table. */
  readonly tasks?: number;
}

/** Reads the common fields of encoders of BERT's kind. */
export function bertSizes(c: Config, absent: Partial<SizeDefaults> & { readonly vocabulary?: number } = {}): BertSizes {
  c.only('position_embedding_type', 'absolute');
  c.only('is_decoder', false);
  c.only('add_cross_attention', false);
  return {
    ...transformerSizes(c, { hidden: 768, heads: 12, inner: 3072, act: 'gelu', eps: 1e-12, ...absent }),
    vocabulary: c.size('vocab_size', absent.vocabulary ?? 30_522),
    positions: c.size('max_position_embeddings', 512),
    types: c.size('type_vocab_size', 2),
  };
}

/** Post-norm layers over embeddings: `[batch, sequence, hidden]`. */
export function bertEncoder(m: Module, x: Value, mask: Value, s: BertSizes): Value {
  const names = ['query', 'key', 'value'] as const;
  const attention = (self: Module, y: Value): Value => selfAttention(self, y, { names, heads: s.heads, mask });
  for (const layer of m.list('encoder.layer', s.layers)) x = bertLayer(layer, x, s, attention);
  return x;
}

/** A post-norm layer; `attention` excludes the output projection. */
export function bertLayer(
  m: Module,
  x: Value,
  s: Pick<BertSizes, 'hidden' | 'inner' | 'act' | 'eps'>,
  attention: (m: Module, x: Value) => Value,
): Value {
  const context = attention(m.at('attention.self'), x);
  const attended = m.g.Add(m.linear('attention.output.dense', context, s.hidden), x);
  x = m.layerNorm('attention.output.LayerNorm', attended, s.eps);
  const inner = s.act(m.g, m.linear('intermediate.dense', x, s.inner));
  return m.layerNorm('output.LayerNorm', m.g.Add(m.linear('output.dense', inner, s.hidden), x), s.eps);
}

/** Token, type and position embeddings: `[batch, sequence, width]`. */
export function bertEmbeddings(m: Module, { ids, types }: TextInputs, s: BertSizes, width: number = s.hidden): Value {
  const { g } = m;
  const words = m.embedding('word_embeddings', ids, s.vocabulary, width);
  const places = m.embedding('position_embeddings', m.range(0, m.sizeOf(ids, 1)), s.positions, width);
  const sum = g.Add(g.Add(words, m.embedding('token_type_embeddings', types!, s.types, width)), places);
  if (s.tasks === undefined) return m.layerNorm('LayerNorm', sum, s.eps);
  const task = g.Slice(m.parameter('task_type_embeddings.weight', [s.tasks, width]), [0], [1], [0]);
  return m.layerNorm('LayerNorm', g.Add(sum, task), s.eps);
}

function states(m: Module, s: BertSizes): Encoded {
  const inputs = textInputs(m, { types: true });
  return { x: bertEncoder(m, bertEmbeddings(m.at('embeddings'), inputs, s), paddingMask(m, inputs.mask), s), inputs };
}

function bertAs(modelType: string, name: string, sizes: (c: Config) => BertSizes): Architecture {
  return textEncoder<BertSizes>({
    modelType,
    name,
    prefix: modelType,
    others: /^(?:\w+\.)?pooler\.|^cls\.|^classifier\.|^qa_outputs\./,
    sizes,
    states,
    masked: () => (m, x, s, last) => maskedLanguageHead(m.at('cls.predictions'), x, { ...s, ...last }, bertHead),
    sequence: () => (m, x, _, labels) => m.linear('classifier', pooled(m, `${modelType}.pooler.dense`, x), labels),
    pooler: 'pooler.dense',
  });
}

export const bert: Architecture = bertAs('bert', 'Bert', bertSizes);

/** ERNIE 1 to 3: Sun et al. 2019 to 2021. BERT with an optional task embedding. */
export const ernie: Architecture = bertAs('ernie', 'Ernie', (c) => {
  c.skip('task_type_vocab_size');
  return { ...bertSizes(c), ...(c.flag('use_task_id', false) ? { tasks: c.size('task_type_vocab_size', 3) } : {}) };
});
