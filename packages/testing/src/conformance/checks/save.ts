/** @file Checks that saving writes PEFT's tensors and an equivalent config. */

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { Adapter, loadAdapter } from '@onnx-lora/sdk';
import { injectAdapters, ParameterSet } from '@onnx-lora/sdk/core';
import { inferGraph } from '@onnx-lora/sdk/plugin';
import type { ConformanceCase } from '../case.ts';
import { type Check, failed, passed } from '../check.ts';
import { numbers } from '../compare.ts';
import { caseAdapter } from '../outputs.ts';
import { adapterOf, placeFor } from '../trainable.ts';

export const save: Check = {
  name: 'save',
  async run(subject, { scratch }) {
    const original = await caseAdapter(subject);
    const direct = path.join(scratch, 'direct');
    await original.save(direct);
    const problems = [
      ...(await differences(original, direct)),
      ...configDifferences(path.join(subject.folder, 'adapter'), direct),
    ];
    const trained = path.join(scratch, 'trained');
    await (await throughTraining(subject, original)).save(trained);
    // With `bias: all`, PEFT saves trained biases of replaced modules under two names; one is enough.
    const once = [...original.tensors].filter(([name]) => !name.includes('.modules_to_save.'));
    problems.push(
      ...(await differences(new Adapter(original.config, new Map(once)), trained)).map(
        (problem) => `after training layout: ${problem}`,
      ),
    );
    return problems.length > 0 ? failed(problems) : passed(`${original.tensors.size} tensors and the config`);
  },
};

/** Converts the adapter's tensors to the graph's layout, as for training, and back. */
async function throughTraining(subject: ConformanceCase, adapter: Adapter): Promise<Adapter> {
  const { placed, plan } = await placeFor(subject, adapter);
  const base = subject.model.onnx.model;
  const shapes = Object.fromEntries(Object.entries(subject.feeds).map(([name, { dims }]) => [name, dims]));
  const { inputs } = injectAdapters(base, plan, { types: inferGraph(base, { shapes }), mode: 'training' });
  return adapterOf(placed, ParameterSet.of(placed, inputs));
}

async function differences(original: Adapter, folder: string): Promise<string[]> {
  const saved = await loadAdapter(folder);
  const problems = [...saved.tensors.keys()]
    .filter((name) => !original.tensors.has(name))
    .map((name) => `${name} should not be there`);
  for (const [name, tensor] of original.tensors) {
    const own = saved.tensors.get(name);
    if (!own) problems.push(`${name} is missing`);
    else if (own.dims.join() !== tensor.dims.join())
      problems.push(`${name} has shape [${own.dims.join(', ')}], expected [${tensor.dims.join(', ')}]`);
    else if (!isDeepStrictEqual(Array.from(numbers(own)), Array.from(numbers(tensor))))
      problems.push(`${name} has other values`);
  }
  if (!isDeepStrictEqual(saved.config, original.config)) problems.push('the config means another adapter');
  return problems;
}

/** Keys of PEFT's config that are missing or differ in the saved one, which may have others. */
function configDifferences(original: string, saved: string): string[] {
  const [from, to] = [original, saved].map(
    (folder) => JSON.parse(readFileSync(path.join(folder, 'adapter_config.json'), 'utf8')) as Record<string, unknown>,
  ) as [Record<string, unknown>, Record<string, unknown>];
  return Object.keys(from)
    .filter((key) => !isDeepStrictEqual(from[key], to[key]))
    .map((key) => `${key} of the config is ${JSON.stringify(to[key])}, expected ${JSON.stringify(from[key])}`);
}
