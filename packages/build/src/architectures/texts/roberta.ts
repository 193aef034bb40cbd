/** @file RoBERTa: Liu et al. 2019; XLM-RoBERTa: Conneau et al. 2020; CamemBERT; ChemBERTa. BERT with other positions. */

import type { Value } from '@onnx-lora/sdk/tasks';
import type { Architecture } from '../../architecture.ts';
import type { Config } from '../../checkpoint/config.ts';
import type { Module } from '../../layers/module.ts';
import { positionsPastPadding } from '../../layers/texts/positions.ts';
import { paddingMask, type TextInputs, textInputs } from '../../layers/texts/texts.ts';
import { bertEncoder, bertSizes, type BertSizes } from './bert.ts';
import { type Encoded, robertaHeads, textEncoder } from './textEncoder.ts';

interface Sizes extends BertSizes {
  /** The padding id, from which positions are counted. */
  readonly padding: number;
}

function sizes(c: Config): Sizes {
  return { ...bertSizes(c, { vocabulary: 50_265 }), padding: c.whole('pad_token_id', 1) };
}

function embeddings(m: Module, { ids }: TextInputs, s: Sizes): Value {
  const { g } = m;
  const words = m.embedding('word_embeddings', ids, s.vocabulary, s.hidden);
  // All tokens are of type 0.
  const types = m.parameter('token_type_embeddings.weight', [s.types, s.hidden]);
  const type = s.types === 1 ? types : g.Slice(types, [0], [1], [0]);
  const places = m.embedding('position_embeddings', positionsPastPadding(m, ids, s.padding), s.positions, s.hidden);
  return m.layerNorm('LayerNorm', g.Add(g.Add(words, type), places), s.eps);
}

function states(m: Module, s: Sizes): Encoded {
  const inputs = textInputs(m);
  return { x: bertEncoder(m, embeddings(m.at('embeddings'), inputs, s), paddingMask(m, inputs.mask), s), inputs };
}

function robertaAs(modelType: string, name: string, prefix = 'roberta'): Architecture {
  return textEncoder<Sizes>({
    modelType,
    name,
    prefix,
    others: /^(?:\w+\.)?pooler\.|^lm_head\.|^classifier\.|^qa_outputs\./,
    sizes,
    states,
    ...robertaHeads,
  });
}

export const roberta: Architecture = robertaAs('roberta', 'Roberta');
export const xlmRoberta: Architecture = robertaAs('xlm-roberta', 'XLMRoberta');
export const camembert: Architecture = robertaAs('camembert', 'Camembert');
/** data2vec for texts: Baevski et al. 2022. */
export const data2vecText: Architecture = robertaAs('data2vec-text', 'Data2VecText', 'data2vec_text');
