/**
 * @file Tests of the families on the modules that their models have, a layer of each: what `named_modules` says of models of
 * tiny configs in transformers 4.57.6 and 5.24.0, which differ where a row has a generation.
 */

import { type ModelFacts, translatePath } from '@onnx-lora/sdk/plugin';
import { checkFamily } from '@onnx-lora/testing';
import { expect, it } from 'vitest';
import { encoderFamilies } from '@onnx-lora/sequences';
import { textFamilies } from './index.ts';

/** Paths under a prefix. */
const under = (prefix: string, ...names: string[]): string[] => names.map((name) => `${prefix}.${name}`);

const attention = under('self_attn', 'q_proj', 'k_proj', 'v_proj', 'o_proj');
const gated = under('mlp', 'gate_proj', 'up_proj', 'down_proj');
const llamaLike = (inner: string[], prefix = 'model'): string[] => [
  `${prefix}.embed_tokens`,
  ...under(`${prefix}.layers.1`, ...attention, ...inner),
  'lm_head',
];
const fused = ['self_attention.query_key_value', 'self_attention.dense', 'mlp.dense_h_to_4h', 'mlp.dense_4h_to_h'];
const neox = ['attention.query_key_value', 'attention.dense', 'mlp.dense_h_to_4h', 'mlp.dense_4h_to_h'];
const conv1d = ['attn.c_attn', 'attn.c_proj', 'mlp.c_fc', 'mlp.c_proj'];
const phiLayer = ['self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj', 'self_attn.dense', 'mlp.fc1', 'mlp.fc2'];
const phi3Layer = ['self_attn.qkv_proj', 'self_attn.o_proj', 'mlp.gate_up_proj', 'mlp.down_proj'];
const optLayer = ['self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj', 'self_attn.out_proj', 'fc1', 'fc2'];
const stacked = ['mlp.gate', 'mlp.experts.gate_up_proj', 'mlp.experts.down_proj'];
const sharedExpert = [...under('mlp.shared_expert', 'gate_proj', 'up_proj', 'down_proj'), 'mlp.shared_expert_gate'];

/** `model_type` and generation, the family, the modules, the ends of those adapted by default, and who takes a single file. */
const models: [model: string, family: string, paths: string[], targets: string[], lone: string][] = [
  ...[
    ['llama', 'llama'],
    ['mistral', 'mistral'],
    ['qwen2', 'qwen2'],
    ['qwen3', 'qwen3'],
    ['gemma', 'gemma'],
    ['gemma2', 'gemma'],
    ['gemma3_text', 'gemma'],
    ['smollm3', 'smollm3'],
  ].map(([type, family]): (typeof models)[number] => [type!, family!, llamaLike(gated), [...attention, ...gated], 'llama']), // prettier-ignore
  ['gemma3', 'gemma', llamaLike(gated, 'model.language_model'), [...attention, ...gated], 'llama'],
  ['phi3', 'phi3', ['model.embed_tokens', ...under('model.layers.1', ...phi3Layer), 'lm_head'], phi3Layer, 'phi3'],
  // As onnxruntime-genai takes it apart.
  [
    'phi3',
    'phi3',
    under('model.layers.1', ...phi3Layer.slice(0, 2), ...gated),
    [...phi3Layer.slice(0, 2), ...gated],
    'llama',
  ],
  ['phi', 'phi', ['model.embed_tokens', ...under('model.layers.1', ...phiLayer), 'lm_head'], phiLayer, 'phi'],
  ['gpt2', 'gpt2', [...under('transformer', 'wte', 'wpe'), ...under('transformer.h.1', ...conv1d), 'lm_head'], conv1d, 'gpt2'], // prettier-ignore
  ['gpt_neox 4', 'gpt_neox', ['gpt_neox.embed_in', ...under('gpt_neox.layers.1', ...neox), 'embed_out'], neox, 'gpt_neox'], // prettier-ignore
  ['gpt_neox 5', 'gpt_neox', ['gpt_neox.embed_in', ...under('gpt_neox.layers.1', ...neox), 'lm_head'], neox, 'gpt_neox'], // prettier-ignore
  [
    'opt',
    'opt',
    [
      ...under('model.decoder', 'embed_tokens', 'embed_positions', 'project_in', 'project_out'),
      ...under('model.decoder.layers.1', ...optLayer),
      'lm_head',
    ],
    optLayer,
    'opt',
  ],
  ...['bloom', 'falcon'].map((type): (typeof models)[number] => [type, 'bloom', ['transformer.word_embeddings', ...under('transformer.h.1', ...fused), 'lm_head'], fused, 'bloom']), // prettier-ignore
  [
    'mixtral 4',
    'mixtral',
    llamaLike(under('block_sparse_moe', 'gate', 'experts.3.w1', 'experts.3.w2', 'experts.3.w3')),
    attention,
    'mixtral',
  ],
  ['mixtral 5', 'mixtral', llamaLike(stacked), attention, 'qwen2_moe'],
  [
    'qwen2_moe 4',
    'qwen2_moe',
    llamaLike(['mlp.gate', ...under('mlp.experts.3', 'gate_proj', 'up_proj', 'down_proj'), ...sharedExpert]),
    attention,
    'qwen2_moe',
  ],
  ['qwen2_moe 5', 'qwen2_moe', llamaLike([...stacked, ...sharedExpert]), attention, 'qwen2_moe'],
  // Layers among `mlp_only_layers` have no experts.
  ['qwen3_moe 5', 'qwen2_moe', [...llamaLike(stacked), ...under('model.layers.0', ...gated)], attention, 'qwen2_moe'],
];

const configOf = (model: string): NonNullable<ModelFacts['config']> => ({ model_type: model.replace(/ \d$/, '') });
const takers = (facts: ModelFacts): string[] =>
  textFamilies.filter((family) => family.matches(facts)).map(({ name }) => name);

// The encoders have their own test, beside the other families of science.
const decoders = textFamilies.filter((family) => !encoderFamilies.includes(family));

it.each(decoders.map((family) => [family.title, family] as const))('%s', (_, family) => {
  const own = models.filter(([, name]) => name === family.name);
  const facts = ([model, , modulePaths]: (typeof models)[number]): ModelFacts => ({ config: configOf(model), modulePaths }); // prettier-ignore
  expect(
    checkFamily(family, {
      own: own.map((model) => ({ ...facts(model), targets: model[3] })),
      others: models.filter((model) => !own.includes(model)).map(facts),
      complete: true,
    }),
  ).toEqual([]);
});

it.each(models)('%s without config.json is known by the names of its modules', (_, __, modulePaths, ___, lone) => {
  expect(takers({ modulePaths })).toEqual([lone]);
});

it('of ESM C, which took over the names of LLaMA, is not', () => {
  expect(takers({ modulePaths: llamaLike(gated, 'esmc') })).toEqual([]);
});

it("onnxruntime-genai's LLaMA with queries, keys and values in one is, whose parts have the names", () => {
  const modulePaths = under('model.layers.0', 'self_attn.qkv_proj', 'self_attn.o_proj', ...gated);
  expect(takers({ modulePaths })).toEqual(['llama']);
});

it('the head of Pythia and the router of Mixtral have another name in transformers 5, and the experts no counterpart', () => {
  const translated = (name: string, path: string): string | undefined =>
    translatePath(path, textFamilies.find((family) => family.name === name)!.generations![0]!, 5);
  expect(translated('gpt_neox', 'embed_out')).toBe('lm_head');
  expect(translated('gpt_neox', 'gpt_neox.layers.1.mlp.dense_h_to_4h')).toBe('gpt_neox.layers.1.mlp.dense_h_to_4h');
  expect(translated('mixtral', 'model.layers.1.block_sparse_moe.gate')).toBe('model.layers.1.mlp.gate');
  expect(translated('mixtral', 'model.layers.1.block_sparse_moe.experts.3.w1')).toBeUndefined();
});
