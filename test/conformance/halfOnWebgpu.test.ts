/** @file Gradients through products that WebGPU computes in float16, sums included, against PEFT's. */

import { OnnxLoraError, openModel, type Runtime } from '@onnx-lora/sdk';
import { conformance } from '@onnx-lora/testing';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { isNightly } from '../support/nightly.ts';

const cases = path.join(import.meta.dirname, '../fixtures/cases');
const vit = path.join(cases, 'vit-v4/model.onnx');
const here = (await openModel(vit)).runtime;

const webgpu: Runtime = {
  createSession: (source, options) => here.createSession(source, { ...options, provider: 'webgpu' }),
};

/** Undefined where float16 is computed here. */
const whyNot = await (async (): Promise<string | undefined> => {
  try {
    const model = await openModel(vit, { precision: { name: 'float16', smallest: 1 } });
    await (await model.session({ provider: 'webgpu' })).release();
    return undefined;
  } catch (error) {
    if (error instanceof OnnxLoraError && error.code === 'PROVIDER_UNAVAILABLE') return error.message;
    throw error;
  }
})();
const why = whyNot === undefined ? '' : `: skipped. ${whyNot}`;

/** A software driver takes seconds for the programs of each. */
const everyChange = ['vit-v4', 'lora-trainable-tokens'];
const nightly = [
  'vit-dora-v4', 't5-encoder-v5', 'deberta-v5', 'evoformer', 'opt-v4', 'esm-bias-all-v5', 'lora-conv2d-dilated', 'lora-mha',
  'minilm-embed-v5', 'molformer',
]; // prettier-ignore

describe.skipIf(whyNot !== undefined)(`in float16 on WebGPU, gradients point where PEFT's do${why}`, () => {
  test.each([...everyChange, ...(!isNightly ? [] : nightly)])('in %s', async (name) => {
    const { checks } = await conformance(path.join(cases, name), { precision: 'float16', runtime: webgpu });
    expect(checks.map(({ check, status }) => [check, status])).toEqual([['gradients', 'passed']]);
    expect(checks[0]!.detail).toMatch(/^least cosine (0\.99[5-9]\d|1\.0000), loss off by [01]\.\d\d%, (\d+) of \2 products$/); // prettier-ignore
  });
});
