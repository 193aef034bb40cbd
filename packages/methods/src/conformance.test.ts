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
  it.each(readdirSync(cases).filter((name) => /^peft-|^lora-(?:loraplus|lorafa|riemannian)/.test(name)))(
    '%s',
    async (name) => {
      const { checks } = await conformance(path.join(cases, name), { plugins: [methodsPlugin] });
      const failed = checks.filter(({ status }) => status === 'failed');
      expect(failed.map(({ check, detail }) => `${check}: ${detail}`)).toEqual([]);
      expect(checks.filter(({ status }) => status === 'passed').length).toBeGreaterThan(6);
    },
  );
});

describe('gradients of differences, files, merging', () => {
  it.each(tuners.map((tuner) => [tuner.name, tuner] as const))('%s', async (_, tuner) => {
    expect(await checkTuner(tuner)).toEqual([]);
  });
});
