/** @file Every method against PEFT: its outputs, loss, gradients, steps of training, files and merged weights. */

import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { checkTuner, conformance } from '@onnx-lora/sdk/testing';
import { describe, expect, it } from 'vitest';
import type { TunerSettings } from '@onnx-lora/sdk/plugin';
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

/** Where the defaults are for larger layers than those of the check: 8 or 6 inputs, 6 outputs. */
const settings: Readonly<Record<string, TunerSettings>> = {
  miss: { r: 4 },
};

/** Further settings with which a tuner computes something else. */
const variants: readonly (readonly [name: string, TunerSettings])[] = [
  ['lokr', { r: 1, decompose_both: true }],
  ['miss', { r: 2, init_weights: 'bat' }],
  ['miss', { r: 4, init_weights: 'mini', mini_r: 2 }],
  ['gralora', { r: 4, hybrid_r: 2 }],
];

describe('gradients of differences, files, merging', () => {
  // Of Arrow, which begins as nothing, mixtures.test.ts has the same.
  const begun = tuners.filter(({ name }) => name !== 'arrow');

  it.each(begun.map((tuner) => [tuner.name, tuner] as const))('%s', async (_, tuner) => {
    expect(await checkTuner(tuner, settings[tuner.name])).toEqual([]);
  });

  it.each(variants)('%s with %o', async (name, own) => {
    expect(
      await checkTuner(
        tuners.find((each) => each.name === name)!,
        own,
      ),
    ).toEqual([]);
  });
});
