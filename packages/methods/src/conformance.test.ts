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

/** Variants of LoRA, whose type is LORA. */
const variants = new Set(['bdlora', 'kasa', 'mica', 'velora'].map((name) => `lora-${name}`));

/** Settings where the defaults do not fit the small net. */
const settings: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  bdlora: { use_bdlora: { target_modules_bd_a: ['encoder.0'], target_modules_bd_b: ['encoder.1'], nblocks: 2 } },
  kasa: { r: 2 },
  qalora: { qalora_group_size: 2 },
};

describe("PEFT's numbers", () => {
  it.each(readdirSync(cases).filter((name) => name.startsWith('peft-') || variants.has(name)))('%s', async (name) => {
    const { checks } = await conformance(path.join(cases, name), { plugins: [methodsPlugin] });
    const failed = checks.filter(({ status }) => status === 'failed');
    expect(failed.map(({ check, detail }) => `${check}: ${detail}`)).toEqual([]);
    expect(checks.filter(({ status }) => status === 'passed').length).toBeGreaterThan(6);
  });
});

describe('gradients of differences, files, merging', () => {
  it.each(tuners.map((tuner) => [tuner.name, tuner] as const))('%s', async (_, tuner) => {
    expect(await checkTuner(tuner, settings[tuner.name])).toEqual([]);
  });
});
