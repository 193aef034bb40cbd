/** @file Every method against PEFT: its outputs, loss, gradients, steps of training, files and merged weights. */

import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import type { TunerSettings } from '@onnx-lora/sdk/plugin';
import { checkTuner, conformance } from '@onnx-lora/sdk/testing';
import { describe, expect, it } from 'vitest';
import { methodsPlugin, tuners } from './plugin.ts';

const own = path.join(import.meta.dirname, '../../../test/fixtures/cases');
const all = path.join(import.meta.dirname, '../../../../shared/oracle/cases');

/** Every night there are more cases of methods that have one here. */
const folders = [own, ...(process.env['NIGHTLY'] && existsSync(all) ? [all] : [])].flatMap((folder) =>
  readdirSync(folder).map((name) => [name, path.join(folder, name)] as const),
);

/**
 * What PEFT computes otherwise than its own formula. C3A's gradient by the layer's input takes the vectors in the wrong direction,
 * so that all layers but the last adapted one are trained by others than their gradients; ours are those of differences, and
 * `peft-c3a-differentiated` has PEFT's with the same product, differentiated by torch.
 */
const wrongInPeft: Readonly<Record<string, readonly string[]>> = { 'peft-c3a': ['gradients', 'train'] };

/** Also variants of LoRA, whose type is LORA, and its optimizers. */
const held = /^peft-|^methods-|^lora-(?:bdlora|kasa|mica|monteclora|velora|loraplus|lorafa|riemannian)/;

describe("PEFT's numbers", () => {
  it.each(folders.filter(([name]) => held.test(name)))('%s', async (name, folder) => {
    const { checks } = await conformance(folder, { plugins: [methodsPlugin] });
    const wrong = wrongInPeft[name] ?? [];
    const failed = checks.filter(({ status }) => status === 'failed');
    expect(failed.map(({ check, detail }) => `${check}: ${detail}`).filter((each) => wrong.every((check) => !each.startsWith(check)))).toEqual([]); // prettier-ignore
    expect(checks.filter(({ status }) => status === 'passed').length).toBeGreaterThan(wrong.length > 0 ? 4 : 6);
  });
});

/** Settings that are checked besides, or in place of, defaults that do not fit layers of 8 and 6 inputs and 6 outputs. */
const settings: Readonly<Record<string, readonly TunerSettings[]>> = {
  aflora: [{ total_step: 10 }],
  bdlora: [{ use_bdlora: { target_modules_bd_a: ['encoder.0'], target_modules_bd_b: ['encoder.1'], nblocks: 2 } }],
  adamss: [
    { r: 5, num_subspaces: 2 },
    { num_subspaces: 3, use_dynamic_rank: true, subspace_rank: 2 },
  ],
  boft: [{ boft_block_size: 2 }, { boft_block_size: 0, boft_block_num: 1 }],
  c3a: [{ block_size: 2 }],
  deft: [{}, { decomposition_method: 'qr', alpha: 4 }, { decomposition_method: 'qr', r: 3, para: true }],
  gralora: [{}, { r: 4, hybrid_r: 2 }],
  fourierft: [{ n_frequency: 12 }],
  frod: [{ sparse_rate: 0.2 }],
  glora: [
    {},
    { config_A_B: 'vector', config_C: 'vector', config_D_E: 'vector' },
    { config_A_B: 'none', config_C: 'none' },
  ],
  hra: [{}, { r: 3, apply_GS: true }],
  kasa: [{ r: 2 }],
  lokr: [{}, { r: 1, decompose_both: true }],
  'lora-xs': [{ r: 3, init_std: 0.1 }],
  miss: [{ r: 4 }, { r: 2, init_weights: 'bat' }, { r: 4, init_weights: 'mini', mini_r: 2 }],
  mixlora: [
    { num_experts: 3 },
    { num_experts: 3, feedforward_modules: ['0', '1'] },
    { top_k: 3, num_experts: 3, feedforward_modules: ['1'] },
  ],
  // Of 8 inputs 5 by 5 or 4 by 4 with some that are left, and without.
  mora: [{ r: 2 }, { r: 3, mora_type: 6 }, { r: 1, mora_type: 6 }],
  nola: [{ bases: 10 }],
  oft: [{}, { oft_block_size: 2, use_cayley_neumann: false }, { r: 2, oft_block_size: 0, block_share: true }],
  osf: [{}, { effective_rank: 0.34 }],
  psoft: [
    { r: 4 },
    { r: 3, use_cayley_neumann: true, cayley_neumann_eps: 0.3, ab_svd_init: 'pissa_init' },
    { r: 2, psoft_orth: false },
  ],
  peanut: [{ r: 4, depth: 2, act_fn: 'silu', scaling: 100 }],
  qalora: [{ qalora_group_size: 2 }],
  randlora: [{}, { r: 4, save_projection: false }],
  shira: [{ r: 1 }, { r: 2, random_seed: 3 }],
  supertuning: [{ sparsity: 0.8 }, { sparsity: 0.8, r: 2 }, { sparsity: 0.8, save_precomputed_indices: false }],
  tinylora: [{}, { weight_tying: 1 }],
  road: [{ group_size: 6 }, { group_size: 2, variant: 'road_2' }, { group_size: 6, variant: 'road_4' }],
  vblora: [{ r: 2, num_vectors: 6, vector_length: 2 }],
  waveft: [
    { n_frequency: 12 },
    { n_frequency: 12, wavelet_family: 'sym4' },
    { n_frequency: 12, use_idwt: false, proportional_parameters: true },
  ],
};

describe('gradients of differences, files, merging', () => {
  // Of those that begin as nothing, mixtures.test.ts has the same.
  const begun = tuners.filter(({ name }) => name !== 'arrow' && name !== 'xlora');
  const checked = begun.flatMap((tuner) => (settings[tuner.name] ?? [{}]).map((own) => [tuner, own] as const));
  it.each(checked.map(([tuner, own]) => [`${tuner.name} ${JSON.stringify(own)}`, tuner, own] as const))(
    '%s',
    async (_, tuner, own) => {
      expect(await checkTuner(tuner, own)).toEqual([]);
    },
  );
});
