/** @file Outputs of cases, and the checks of the model with and without the adapter. */

import { Adapter, loadAdapter, type Model, type Tensor } from '@onnx-lora/sdk';
import { PEFT_PREFIX } from '@onnx-lora/sdk/core';
import path from 'node:path';
import { released } from '../scratch.ts';
import type { ConformanceCase } from './case.ts';
import { type Check, judge, notApplicable, type Outcome } from './check.ts';
import { compareTensors, tolerances, type Tolerance } from './compare.ts';

/** The initial adapter of the case, as saved by PEFT, with tensors that its file lacks. */
export async function caseAdapter({ folder, model, expected }: ConformanceCase): Promise<Adapter> {
  const adapter = await loadAdapter(path.join(folder, 'adapter'));
  const { peftType } = adapter.config;
  const names = model.registry.tuners.find((each) => each.peftType === peftType)?.notInPeft ?? [];
  const derived = [...expected].filter(
    ([name]) => name.startsWith(DERIVED) && names.some((each) => name.endsWith(`.${each}`)),
  );
  if (derived.length === 0) return adapter;
  const added = derived.map(([name, tensor]) => [`${PEFT_PREFIX}${name.slice(DERIVED.length)}`, tensor] as const);
  return new Adapter(adapter.config, new Map([...adapter.tensors, ...added]));
}

/** Prefix in expected.safetensors of tensors missing from PEFT's file, before the module's path. */
const DERIVED = 'derived.';

/** The tolerance for a kind of value, unless the case has its own. */
export function toleranceOf({ relativeRms }: ConformanceCase, kind: keyof typeof tolerances): Tolerance {
  return relativeRms === undefined ? tolerances[kind] : { relativeRms };
}

/** Runs a model on the case's batch, with or without an adapter. */
export async function outputsOf(
  model: Model,
  subject: ConformanceCase,
  adapter?: Adapter,
): Promise<Record<string, Tensor>> {
  // One thread, so that sums of these tiny models have one order.
  const session = await model.session({ threads: 1, ...(adapter ? { adapters: { adapter } } : {}) });
  // PEFT computes the batch as one, even where rows affect each other.
  const options = { adapter: adapter ? 'adapter' : null, rowsTogether: true };
  return released(session, () => session.run(subject.feeds, options));
}

/** Expected outputs `<prefix>.<output>` of a case, if any. */
export function expectedOutputs(subject: ConformanceCase, prefix: 'base' | 'lora' | 'trained'): Map<string, Tensor> {
  return new Map(
    subject.outputs.flatMap((output) => {
      const tensor = subject.expected.get(`${prefix}.${output}`);
      return tensor ? [[output, tensor] as const] : [];
    }),
  );
}

async function checkOutputs(
  subject: ConformanceCase,
  prefix: 'base' | 'lora' | 'trained',
  compute: () => Promise<Record<string, Tensor>>,
): Promise<Outcome> {
  const expected = expectedOutputs(subject, prefix);
  if (expected.size === 0) return notApplicable(`the case expects no ${prefix}.<output>`);
  const actual = await compute();
  return judge(
    [...expected].map(([name, tensor]) => compareTensors(name, actual[name], tensor, toleranceOf(subject, 'output'))),
  );
}

/** Checks the base model's outputs against torch. */
export const base: Check = {
  name: 'base',
  run: (subject) => checkOutputs(subject, 'base', () => outputsOf(subject.model, subject)),
};

/** Checks the adapted model's outputs against PEFT. */
export const forward: Check = {
  name: 'forward',
  run: (subject) =>
    checkOutputs(subject, 'lora', async () => outputsOf(subject.model, subject, await caseAdapter(subject))),
};
