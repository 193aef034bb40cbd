/** @file The reference against PEFT's numbers, which it was made without. */

import path from 'node:path';
import { expect, it } from 'vitest';
import { readCase } from '../conformance/case.ts';
import { caseAdapter } from '../conformance/outputs.ts';
import { placeFor } from '../conformance/trainable.ts';
import { Reference } from './reference.ts';

const cases = path.join(import.meta.dirname, '../../../../../test/fixtures/cases');

it.each([
  ['lora-linear', 'float64', 1e-6],
  ['lora-conv2d-dilated', 'float64', 1e-6],
] as const)('%s in %s', async (name, precision, error) => {
  const subject = await readCase(path.join(cases, name), {});
  const adapter = await caseAdapter(subject);
  const { plan } = await placeFor(subject, adapter);
  const { model, feeds, targets, loss } = subject;
  const { config } = adapter;
  const reference = await Reference.of({ model, plan, config, feeds, labels: targets['labels']!, loss: loss! });
  const tensors = new Map(
    [...adapter.tensors].map(([key, { data, dims }]) => [key, { data: Float64Array.from(data as Float32Array), dims }]),
  );
  try {
    expect(reference.precision).toBe(precision);
    const outputs = await reference.outputs(tensors);
    expect(reference.lossOf(outputs)).toBeCloseTo(Number(subject.expected.get('lora.loss')!.data[0]), 5);
    const errors = [...(await reference.gradients(tensors))].map(([key, gradient]) => {
      const golden = subject.expected.get(`lora.grad.${key}`)!.data as Float32Array;
      const largest = golden.reduce((most, each) => Math.max(most, Math.abs(each)), 0);
      return Math.max(...golden.map((value, i) => Math.abs(value - gradient[i]!))) / largest;
    });
    expect(errors.length).toBeGreaterThan(1);
    expect(Math.max(...errors)).toBeLessThan(error);
  } finally {
    await reference.release();
  }
});
