/** @file Losses, gradients and rewards of preferences are those of TRL, with its own functions, on a LLaMA with an adapter of PEFT's. */

import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { evaluate, loadAdapter, openModel } from '@onnx-lora/sdk';
import { ParameterSet, Trainer } from '@onnx-lora/sdk/core';
import { describe, expect, test } from 'vitest';
import type { GivenPreference } from '../../data/readPreferences.ts';
import { textPlugin } from '../../plugin.ts';
import { type PreferenceOptions, preferences } from './preferences.ts';

const shared = fileURLToPath(new URL('../../../../../../shared/', import.meta.url));
const oracle = `${shared}oracle/generate/text/llama-tiny/`;

interface Golden {
  readonly rows: readonly Readonly<Record<'prompt' | 'chosen' | 'rejected', string>>[];
  readonly cases: readonly {
    readonly options: PreferenceOptions;
    readonly loss: number;
    readonly gradientNorms: Readonly<Record<string, number>>;
    readonly kl?: number;
    readonly 'rewards/chosen'?: number;
    readonly 'rewards/rejected'?: number;
    readonly 'rewards/margins'?: number;
    readonly 'rewards/accuracies'?: number;
  }[];
}

describe.skipIf(!existsSync(oracle))('beside TRL (needs ../shared beside the checkout)', async () => {
  if (!existsSync(oracle)) return;
  const fixture = new URL('../../fixtures/preferences.json', import.meta.url);
  const golden = JSON.parse(readFileSync(fixture, 'utf8')) as Golden;
  const rows = golden.rows.map(({ prompt, chosen, rejected }): GivenPreference => ({
    prompt: [{ role: 'user', content: prompt }],
    chosen: [{ role: 'assistant', content: chosen }],
    rejected: [{ role: 'assistant', content: rejected }],
  }));
  const model = await openModel(`${shared}models/llama-tiny`, { plugins: [textPlugin] });
  const adapter = await loadAdapter(`${oracle}adapter`);

  test.each(golden.cases)('$options', async ({ options, loss, gradientNorms, ...told }) => {
    const prepared = await preferences(rows, options).prepare(model);
    await prepared.begin!({ model, options: { threads: 1 }, batchSize: 3 });
    const examples = Array.from({ length: prepared.train.length }, (_, i) => prepared.train.get(i));
    const { inputs, targets } = await prepared.collate(await Promise.all(examples));
    const placed = await model.place(adapter);
    const trainer = new Trainer({
      base: model.onnx.model,
      plan: placed.tunings.map(({ tuning }) => tuning),
      loss: (g, outputs, wanted) => prepared.loss(g, outputs, wanted),
      runtime: model.runtime,
      session: { threads: 1 },
      parameters: (ports) => ParameterSet.of(placed, ports),
      name: 'llama-tiny',
    });
    try {
      const found = await trainer.lossAndGradients(inputs, targets);
      expect(found.loss / loss).toBeCloseTo(1, 4);
      const all = trainer.parameters!.all.map((each) => ({ ...each, value: found.gradients.get(each.input.name)! }));
      const gradients = new ParameterSet(all).tensors();
      expect([...gradients.keys()].sort()).toEqual(Object.keys(gradientNorms).sort());
      for (const [name, { data }] of gradients) {
        const norm = gradientNorms[name]!;
        expect(Math.abs(Math.hypot(...(data as Float32Array)) - norm), name).toBeLessThan(1e-3 * norm + 1e-6);
      }
    } finally {
      await trainer.release();
    }
    const { metrics, examples: measured } = await evaluate(model, { task: preferences(rows, options), adapter, batchSize: 3, threads: 1 }); // prettier-ignore
    expect(measured).toBe(prepared.train.length);
    const trl = {
      loss,
      divergence: told.kl,
      chosen: told['rewards/chosen'],
      rejected: told['rewards/rejected'],
      margin: told['rewards/margins'],
      accuracy: told['rewards/accuracies'],
    };
    for (const [name, value] of Object.entries(trl))
      if (value !== undefined) expect(metrics[name], name).toBeCloseTo(value, 3);
  });
});
