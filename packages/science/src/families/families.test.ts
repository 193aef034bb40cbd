/**
 * @file Tests of the families on the modules that their models have, a layer of each: as transformers 4.53.3 and 5.24.0 make
 * them, which agree here, and as the code of ESM C, MoLFormer, DNABERT-2 and OpenFold names them.
 */

import { defaultTargetPaths, type DescribedFamily, type ModelFacts } from '@onnx-lora/sdk/plugin';
import { checkFamily } from '@onnx-lora/testing';
import { describe, expect, it } from 'vitest';
import { scienceFamilies } from './index.ts';

/** Paths under a prefix. */
const under = (prefix: string, ...names: string[]): string[] => names.map((name) => `${prefix}.${name}`);

const attention = ['attention.self.query', 'attention.self.key', 'attention.self.value', 'attention.output.dense'];
const dense = ['intermediate.dense', 'output.dense'];
const words = 'embeddings.word_embeddings';
const positions = 'embeddings.position_embeddings';
const types = 'embeddings.token_type_embeddings';
const bertLike = (prefix: string, ...embeddings: string[]): string[] => [
  ...under(prefix, ...embeddings),
  ...under(`${prefix}.encoder.layer.1`, ...attention, ...dense),
];
const predictions = under('cls.predictions', 'transform.dense', 'decoder');
const head = under('lm_head', 'dense', 'decoder');
const classifier = ['classifier', 'classifier.dense', 'classifier.out_proj'];

const mha = (prefix: string): string[] =>
  under(`${prefix}.mha`, ...['q', 'k', 'v', 'g', 'o'].map((name) => `linear_${name}`));
const triangles = (block: string): string[] => [
  ...['tri_mul_out', 'tri_mul_in'].flatMap((name) =>
    under(`${block}.${name}`, ...['a_p', 'a_g', 'b_p', 'b_g', 'g', 'z'].map((each) => `linear_${each}`)),
  ),
  ...['tri_att_start', 'tri_att_end'].flatMap((name) => [`${block}.${name}.linear`, ...mha(`${block}.${name}`)]),
];
const fold = 'trunk.blocks.1';
const evoformer = 'evoformer.blocks.1';

/** A model, its family, its modules, and what of a layer is adapted by default. */
const models: [model: string, family: string, paths: string[], targets: string[]][] = [
  [
    'ESM-2',
    'esm',
    [...bertLike('esm', words), 'esm.contact_head.regression', ...head, ...classifier],
    [...attention, ...dense],
  ],
  [
    'ESM-1b',
    'esm',
    [...bertLike('esm', words, positions), 'esm.contact_head.regression', ...head],
    [...attention, ...dense],
  ],
  [
    'ESM C',
    'esmc',
    [
      'embed',
      ...under('transformer.blocks.1', 'attn.layernorm_qkv.1', 'attn.out_proj', 'ffn.1', 'ffn.3'),
      ...under('sequence_head', '0', '3'),
    ],
    ['attn.layernorm_qkv.1'],
  ],
  [
    'ESM C of transformers',
    'esmc',
    [
      'esmc.embed_tokens',
      ...under('esmc.layers.1.self_attn', 'q_proj', 'k_proj', 'v_proj', 'o_proj'),
      ...under('esmc.layers.1.mlp', 'gate_proj', 'up_proj', 'down_proj'),
      ...head,
      ...classifier,
    ],
    ['self_attn.q_proj', 'self_attn.v_proj'],
  ],
  [
    'ProtT5',
    't5',
    [
      'shared',
      'encoder.embed_tokens',
      ...under('encoder.block.1.layer.0.SelfAttention', 'q', 'k', 'v', 'o', 'relative_attention_bias'),
      ...under('encoder.block.1.layer.1.DenseReluDense', 'wi', 'wo'),
      'classifier',
    ],
    under('layer.0.SelfAttention', 'q', 'k', 'v', 'o'),
  ],
  [
    'Ankh for classification',
    't5',
    [
      ...under('transformer.encoder.block.1.layer.0.SelfAttention', 'q', 'k', 'v', 'o'),
      ...under('transformer.encoder.block.1.layer.1.DenseReluDense', 'wi_0', 'wi_1', 'wo'),
      ...under('transformer.decoder.block.1.layer.1.EncDecAttention', 'q', 'k', 'v', 'o'),
      ...under('classification_head', 'dense', 'out_proj'),
    ],
    under('layer.0.SelfAttention', 'q', 'k', 'v', 'o'),
  ],
  [
    'ProtBERT',
    'bert',
    [...bertLike('bert', words, positions, types), ...predictions, 'bert.pooler.dense', 'classifier'],
    attention.filter((name) => /query|value/.test(name)),
  ],
  [
    'DNABERT-2',
    'bert',
    [
      ...under('bert', words, types),
      ...under('bert.encoder.layer.1', 'attention.self.Wqkv', 'attention.output.dense', 'mlp.gated_layers', 'mlp.wo'),
      ...predictions,
    ],
    ['attention.self.Wqkv'],
  ],
  [
    'ChemBERTa',
    'roberta',
    [...bertLike('roberta', words, positions, types), ...head, ...classifier],
    ['attention.self.query', 'attention.self.value'],
  ],
  [
    'MoLFormer',
    'molformer',
    [...bertLike('molformer', words), 'lm_head.transform.dense', 'lm_head.decoder', ...classifier, 'classifier.dense2'],
    ['attention.self.query', 'attention.self.value'],
  ],
  [
    'XLM-R',
    'roberta',
    [...bertLike('roberta', words, positions, types), ...head, ...classifier],
    ['attention.self.query', 'attention.self.value'],
  ],
  [
    'MPNet',
    'mpnet',
    [
      ...under('mpnet', words, positions, 'encoder.relative_attention_bias', 'pooler.dense'),
      ...under('mpnet.encoder.layer.1.attention.attn', 'q', 'k', 'v', 'o'),
      ...under('mpnet.encoder.layer.1', ...dense),
      ...head,
      ...classifier,
    ],
    under('attention.attn', 'q', 'v'),
  ],
  [
    'DistilBERT',
    'distilbert',
    [
      ...under('distilbert', words, positions),
      ...under('distilbert.transformer.layer.1.attention', 'q_lin', 'k_lin', 'v_lin', 'out_lin'),
      ...under('distilbert.transformer.layer.1.ffn', 'lin1', 'lin2'),
      'vocab_transform',
      'vocab_projector',
      'pre_classifier',
      'classifier',
    ],
    ['attention.q_lin', 'attention.v_lin'],
  ],
  [
    'ELECTRA',
    'electra',
    [
      ...bertLike('electra', words, positions, types),
      'electra.embeddings_project',
      'generator_predictions.dense',
      'generator_lm_head',
      'discriminator_predictions.dense_prediction',
    ],
    ['attention.self.query', 'attention.self.value'],
  ],
  [
    'ALBERT',
    'albert',
    [
      ...under('albert', words, positions, types, 'encoder.embedding_hidden_mapping_in'),
      ...under('albert.encoder.albert_layer_groups.0.albert_layers.0.attention', 'query', 'key', 'value', 'dense'),
      ...under('albert.encoder.albert_layer_groups.0.albert_layers.0', 'ffn', 'ffn_output'),
      ...under('predictions', 'dense', 'decoder'),
    ],
    ['albert_layers.0.attention.query', 'albert_layers.0.attention.value'],
  ],
  [
    'DeBERTa 2',
    'deberta-v2',
    [
      ...under('deberta', words, positions, 'encoder.rel_embeddings'),
      ...under(
        'deberta.encoder.layer.1.attention',
        ...['query', 'key', 'value', 'pos_key', 'pos_query'].map((name) => `self.${name}_proj`),
      ),
      ...under('deberta.encoder.layer.1', 'attention.output.dense', ...dense),
      ...predictions,
      'pooler.dense',
    ],
    ['attention.self.query_proj', 'attention.self.value_proj'],
  ],
  [
    'DeBERTa 1',
    'deberta-v2',
    under('deberta.encoder.layer.1.attention.self', 'in_proj', 'pos_proj', 'pos_q_proj'),
    ['attention.self.in_proj'],
  ],
  [
    'ModernBERT',
    'modernbert',
    [
      'model.embeddings.tok_embeddings',
      ...under('model.layers.1', 'attn.Wqkv', 'attn.Wo', 'mlp.Wi', 'mlp.Wo'),
      'head.dense',
      'decoder',
      'classifier',
    ],
    ['attn.Wqkv'],
  ],
  [
    'ESMFold',
    'esmfold',
    [
      'trunk.pairwise_positional_embedding.embedding',
      ...under(fold, 'sequence_to_pair.proj', 'sequence_to_pair.o_proj', 'pair_to_sequence.linear'),
      ...under(`${fold}.seq_attention`, 'proj', 'o_proj', 'g_proj'),
      ...triangles(fold),
      ...under(fold, 'mlp_seq.mlp.1', 'mlp_seq.mlp.3', 'mlp_pair.mlp.1', 'mlp_pair.mlp.3'),
    ],
    ['seq_attention.proj', ...['start', 'end'].flatMap((side) => under(`tri_att_${side}.mha`, 'linear_q', 'linear_v'))],
  ],
  [
    'OpenFold',
    'evoformer',
    [
      ...under(evoformer, 'msa_att_row.linear_z', 'msa_transition.linear_1', 'msa_transition.linear_2'),
      ...mha(`${evoformer}.msa_att_row`),
      ...mha(`${evoformer}.msa_att_col._msa_att`),
      ...under(`${evoformer}.outer_product_mean`, 'linear_1', 'linear_2', 'linear_out'),
      ...triangles(`${evoformer}.pair_stack`),
      ...under(`${evoformer}.pair_stack`, 'pair_transition.linear_1', 'pair_transition.linear_2'),
      'evoformer.linear',
    ],
    ['msa_att_row', 'msa_att_col._msa_att', 'pair_stack.tri_att_start', 'pair_stack.tri_att_end'].flatMap((name) =>
      under(`${name}.mha`, 'linear_q', 'linear_v'),
    ),
  ],
];

const takers = (facts: ModelFacts): string[] =>
  scienceFamilies.filter((family) => family.matches(facts)).map(({ name }) => name);
const familyOf = (name: string): DescribedFamily => scienceFamilies.find((family) => family.name === name)!;

it.each(scienceFamilies.map((family) => [family.title, family] as const))('%s', (_, family) => {
  const own = models.filter(([, name]) => name === family.name);
  const problems = checkFamily(family, {
    own: own.map(([, , modulePaths, targets]) => ({ modulePaths, targets })),
    others: models.filter((model) => !own.includes(model)).map(([, , modulePaths]) => ({ modulePaths })),
    complete: true,
  });
  // Not each model has all that its encoder may have; of some families nothing is trained yet but by the program.
  expect(problems.filter((each) => !/is no module's in any example|names no task/.test(each))).toEqual([]);
});

describe('model_type in config.json', () => {
  const facts = (config: Record<string, unknown>): ModelFacts => ({
    config,
    modulePaths: models[0]![2],
  });

  it('decides', () => {
    for (const { name, modelTypes } of scienceFamilies)
      for (const model_type of modelTypes) expect(takers(facts({ model_type }))).toEqual([name]);
    expect(takers(facts({ model_type: 'vit' }))).toEqual([]);
  });

  it('of ESMFold is ESM', () => {
    expect(takers(facts({ model_type: 'esm', is_folding_model: true }))).toEqual(['esmfold']);
    expect(takers(facts({ model_type: 'esm', is_folding_model: false }))).toEqual(['esm']);
    expect(takers(facts({ model_type: 'bert', is_folding_model: true }))).toEqual(['bert']);
  });

  it('is needed where an encoder was exported without its prefix: BERT, RoBERTa and ESM are called the same', () => {
    const modulePaths = bertLike('x', words, positions).map((path) => path.slice(2));
    expect(takers({ modulePaths })).toEqual([]);
    for (const model_type of ['bert', 'roberta', 'esm'])
      expect(defaultTargetPaths(familyOf(model_type), modulePaths)).toContain('encoder.layer.1.attention.self.query');
  });
});
