/** @file ELECTRA: Clark et al. 2020. BERT's layers, over embeddings that may be narrower. */

import type { Architecture } from '../../architecture.ts';
import type { Config } from '../../checkpoint/config.ts';
import { gelu } from '../../layers/activations.ts';
import { firstTokenHead, vocabularyScores } from '../../layers/heads.ts';
import type { Module } from '../../layers/module.ts';
import { paddingMask, textInputs } from '../../layers/texts/texts.ts';
import { bertEmbeddings, bertEncoder, bertSizes, type BertSizes } from './bert.ts';
import { type Encoded, headOnStates, textEncoder } from './textEncoder.ts';

interface Sizes extends BertSizes {
  readonly embedding: number;
}

function sizes(c: Config): Sizes {
  c.skip('summary_type', 'summary_use_proj', 'summary_activation');
  return { ...bertSizes(c, { hidden: 256, heads: 4, inner: 1024 }), embedding: c.size('embedding_size', 128) };
}

function states(m: Module, s: Sizes): Encoded {
  const inputs = textInputs(m, { types: true });
  const narrow = bertEmbeddings(m.at('embeddings'), inputs, s, s.embedding);
  const x = s.embedding === s.hidden ? narrow : m.linear('embeddings_project', narrow, s.hidden);
  return { x: bertEncoder(m, x, paddingMask(m, inputs.mask), s), inputs };
}

const encoder = { prefix: 'electra', sizes, states };

const alike = textEncoder<Sizes>({
  ...encoder,
  modelType: 'electra',
  name: 'Electra',
  others:
    /^(?:discriminator_predictions|generator_predictions|generator_lm_head|classifier|qa_outputs|sequence_summary)\./,
  masked: () => (m, x, s, last) => {
    const head = m.at('generator_predictions');
    const y = head.layerNorm('LayerNorm', gelu(m.g, head.linear('dense', x, s.embedding)), s.eps);
    return vocabularyScores(m, 'generator_lm_head', y, last, true);
  },
  sequence: () => (m, x, _, labels) => firstTokenHead(m.at('classifier'), x, labels, gelu),
});

export const electra: Architecture = {
  ...alike,
  classes: {
    ...alike.classes,
    /** Score of each token being replaced, `[batch, sequence]`. */
    ElectraForPreTraining: headOnStates<Sizes>(encoder, () => (m, x, s) => {
      const head = m.at('discriminator_predictions');
      const scores = head.linear('dense_prediction', s.act(m.g, head.linear('dense', x, s.hidden)), 1);
      m.graph.output('logits', m.g.Squeeze(scores, [2]));
    }),
  },
};
