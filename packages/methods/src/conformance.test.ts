/** @file Every method against PEFT: its outputs, loss, gradients, steps of training, files and merged weights. */

import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import type { TunerSettings } from '@onnx-lora/sdk/plugin';
import { checkTuner, conformance } from '@onnx-lora/sdk/testing';
import { describe, expect, it } from 'vitest';
import { methodsPlugin, tuners } from './plugin.ts';

const own = path.join(import.meta.dirname, '../../../test/fixtures/cases');
const all = path.join(import.meta.dirname, '../../../../shared/oracle/cases');

/** What only every night needs has more cases of methods that have one here. */
const cases = process.env['NIGHTLY'] && existsSync(all) ? all : own;

/** Also variants of LoRA, whose type is LORA, and its optimizers. Poly has a test of its own: rows of its case are of several tasks. */
const held = /^peft-(?!poly)|^lora-(?:bdlora|kasa|mica|monteclora|velora|loraplus|lorafa|riemannian)/;

describe("PEFT's numbers", () => {
  it.each(readdirSync(cases).filter((name) => held.test(name)))('%s', async (name) => {
    const { checks } = await conformance(path.join(cases, name), { plugins: [methodsPlugin] });
    const failed = checks.filter(({ status }) => status === 'failed');
    expect(failed.map(({ check, detail }) => `${check}: ${detail}`)).toEqual([]);
    expect(checks.filter(({ status }) => status === 'passed').length).toBeGreaterThan(6);
  });
});

/** Settings that are checked besides, or in place of, defaults that do not fit layers of 8 and 6 inputs and 6 outputs. */
const settings: Readonly<Record<string, readonly TunerSettings[]>> = {
  bdlora: [{ use_bdlora: { target_modules_bd_a: ['encoder.0'], target_modules_bd_b: ['encoder.1'], nblocks: 2 } }],
  boft: [{ boft_block_size: 2 }, { boft_block_size: 0, boft_block_num: 1 }],
  deft: [{}, { decomposition_method: 'qr', alpha: 4 }, { decomposition_method: 'qr', r: 3, para: true }],
  gralora: [{}, { r: 4, hybrid_r: 2 }],
  glora: [
    {},
    { config_A_B: 'vector', config_C: 'vector', config_D_E: 'vector' },
    { config_A_B: 'none', config_C: 'none' },
  ],
  hra: [{}, { r: 3, apply_GS: true }],
  kasa: [{ r: 2 }],
  lokr: [{}, { r: 1, decompose_both: true }],
  miss: [{ r: 4 }, { r: 2, init_weights: 'bat' }, { r: 4, init_weights: 'mini', mini_r: 2 }],
  oft: [{}, { oft_block_size: 2, use_cayley_neumann: false }, { r: 2, oft_block_size: 0, block_share: true }],
  peanut: [{ r: 4, depth: 2, act_fn: 'silu', scaling: 100 }],
  qalora: [{ qalora_group_size: 2 }],
  shira: [{ r: 1 }, { r: 2, random_seed: 3 }],
  supertuning: [{ sparsity: 0.8 }, { sparsity: 0.8, r: 2 }, { sparsity: 0.8, save_precomputed_indices: false }],
  tinylora: [{}, { weight_tying: 1 }],
  road: [{ group_size: 6 }, { group_size: 2, variant: 'road_2' }, { group_size: 6, variant: 'road_4' }],
};

describe('gradients of differences, files, merging', () => {
  // Of Arrow, which begins as nothing, mixtures.test.ts has the same.
  const begun = tuners.filter(({ name }) => name !== 'arrow');
  const checked = begun.flatMap((tuner) => (settings[tuner.name] ?? [{}]).map((own) => [tuner, own] as const));
  it.each(checked.map(([tuner, own]) => [`${tuner.name} ${JSON.stringify(own)}`, tuner, own] as const))(
    '%s',
    async (_, tuner, own) => {
      expect(await checkTuner(tuner, own)).toEqual([]);
    },
  );
});
