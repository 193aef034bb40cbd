/** @file Every method against PEFT: its outputs, loss, gradients, steps of training, files and merged weights. */

import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { checkTuner, conformance } from '@onnx-lora/testing';
import { describe, expect, it } from 'vitest';
import { checkedTuners } from '../fixtures/checkedTuners.ts';
import { methodsPlugin } from './plugin.ts';
import { isNightly } from '../../../test/support/nightly.ts';

const own = path.join(import.meta.dirname, '../../../test/fixtures/cases');
const all = path.join(import.meta.dirname, '../../../../shared/oracle/cases');

/** Every night there are more cases of methods that have one here. */
const folders = [own, ...(isNightly && existsSync(all) ? [all] : [])].flatMap((folder) =>
  readdirSync(folder).map((name) => [name, path.join(folder, name)] as const),
);

/**
 * Checks in which PEFT departs from its own formula. C3A's gradient by the layer's input takes the vectors in the wrong direction,
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

describe('gradients of differences, files, merging', () => {
  it.each(checkedTuners)('%s', async (_, tuner, own) => {
    expect(await checkTuner(tuner, own)).toEqual([]);
  });
});
