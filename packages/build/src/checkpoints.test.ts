/** @file Built graphs against torch, in every case of a checkpoint. */

import { existsSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { conformance } from '@onnx-lora/sdk/testing';
import { buildPlugin } from './plugin.ts';

const fixtures = path.join(import.meta.dirname, '../fixtures');
const oracle = ['checkpoints', 'checkpoints-real'].map((name) => path.join('../shared/oracle', name));
const places = [fixtures, ...oracle].filter((place) => existsSync(place));

describe.each(places)('every checkpoint of %s', (place) => {
  it('gives what torch gives, or is refused', async () => {
    const { checks, passed } = await conformance(place, { plugins: [buildPlugin] });
    const wrong = checks.filter(({ status }) => status === 'failed').map((each) => `${each.case}: ${each.detail}`);
    expect(wrong).toEqual([]);
    expect(passed).toBeGreaterThan(0);
  });
});
