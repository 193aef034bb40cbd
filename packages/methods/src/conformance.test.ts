/** @file Every method against PEFT: its outputs, loss, gradients, steps of training, files and merged weights. */

import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { checkTuner, conformance } from '@onnx-lora/sdk/testing';
import { describe, expect, it } from 'vitest';
import { methodsPlugin, tuners } from './plugin.ts';

const own = path.join(import.meta.dirname, '../../../test/fixtures/cases');
const all = path.join(import.meta.dirname, '../../../../shared/oracle/cases');

/** What only every night needs has more cases of methods that have one here. */
const cases = process.env['NIGHTLY'] && existsSync(all) ? all : own;

describe("PEFT's numbers", () => {
  it.each(readdirSync(cases).filter((name) => name.startsWith('peft-')))('%s', async (name) => {
    const { checks } = await conformance(path.join(cases, name), { plugins: [methodsPlugin] });
    const failed = checks.filter(({ status }) => status === 'failed');
    expect(failed.map(({ check, detail }) => `${check}: ${detail}`)).toEqual([]);
    expect(checks.filter(({ status }) => status === 'passed').length).toBeGreaterThan(6);
  });
});

/** Settings that are checked besides, or in place of, defaults that do not fit layers of 8 and 6 inputs and 6 outputs. */
const settings: Readonly<Record<string, readonly Readonly<Record<string, unknown>>[]>> = {
  adamss: [
    { r: 5, num_subspaces: 2 },
    { num_subspaces: 3, use_dynamic_rank: true, subspace_rank: 2 },
  ],
  boft: [{ boft_block_size: 2 }, { boft_block_size: 0, boft_block_num: 1 }],
  deft: [{}, { decomposition_method: 'qr', alpha: 4 }, { decomposition_method: 'qr', r: 3, para: true }],
  frod: [{ sparse_rate: 0.2 }],
  glora: [
    {},
    { config_A_B: 'vector', config_C: 'vector', config_D_E: 'vector' },
    { config_A_B: 'none', config_C: 'none' },
  ],
  hra: [{}, { r: 3, apply_GS: true }],
  oft: [{}, { oft_block_size: 2, use_cayley_neumann: false }, { r: 2, oft_block_size: 0, block_share: true }],
  osf: [{}, { effective_rank: 0.34 }],
  psoft: [
    { r: 4 },
    { r: 3, use_cayley_neumann: true, cayley_neumann_eps: 0.3, ab_svd_init: 'pissa_init' },
    { r: 2, psoft_orth: false },
  ],
  peanut: [{ r: 4, depth: 2, act_fn: 'silu', scaling: 100 }],
  road: [{ group_size: 6 }, { group_size: 2, variant: 'road_2' }, { group_size: 6, variant: 'road_4' }],
};

describe('gradients of differences, files, merging', () => {
  const checked = tuners.flatMap((tuner) => (settings[tuner.name] ?? [{}]).map((own) => [tuner, own] as const));
  it.each(checked.map(([tuner, own]) => [`${tuner.name} ${JSON.stringify(own)}`, tuner, own] as const))(
    '%s',
    async (_, tuner, own) => {
      expect(await checkTuner(tuner, own)).toEqual([]);
    },
  );
});
