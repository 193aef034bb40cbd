/** @file Checks that the graph has all adapted modules, and a place for every tensor of PEFT's adapter. */

import { parseTensorName, SiteNames, withParts } from '@onnx-lora/sdk/core';
import { type ConformanceCase, mayBeAbsent } from '../case.ts';
import { type Check, failed, notApplicable, passed } from '../check.ts';
import { caseAdapter } from '../outputs.ts';

export const discover: Check = {
  name: 'discover',
  async run(subject) {
    if (subject.adapted.length === 0) return notApplicable('the case adapts no module');
    const names = new SiteNames(withParts(subject.model.sites()), (await caseAdapter(subject)).config);
    // Modules trained in full may be other than layers.
    const named = new Set(subject.model.namedModules().map(({ path }) => path));
    const problems: string[] = [];
    let present = 0;
    for (const module of subject.adapted) {
      const shape = names.find(module)?.weightShape;
      const expected = torchShape(subject, module);
      if (!shape) {
        if (named.has(module)) present++;
        else if (!mayBeAbsent(subject, module)) problems.push(`${module} is not found`);
      } else if (expected && shape.join() !== expected.join()) {
        problems.push(`${module} is found with shape [${shape.join(', ')}], expected [${expected.join(', ')}]`);
      } else present++;
    }
    if (problems.length > 0) return failed(problems);
    const absent = subject.adapted.length - present;
    return passed(`${present} modules${absent > 0 ? `, ${absent} rightly absent` : ''}`);
  },
};

export const load: Check = {
  name: 'load',
  async run(subject) {
    const adapter = await caseAdapter(subject);
    const placed = await subject.model.place(adapter, { toTrain: true });
    const homeless = placed.unused.filter((name) => {
      const { module, role } = parseTensorName(name);
      const isBase = role === 'base_layer.weight' || module.split('.').includes('original_module');
      // How many batches a BatchNorm has seen, which no graph reads.
      return !isBase && !name.endsWith('.num_batches_tracked') && !mayBeAbsent(subject, module);
    });
    if (homeless.length > 0) return failed(homeless.map((name) => `${name} has no place`));
    // Trained rows of a table have a place in each layer that shares the table.
    const places = new Set(placed.tunings.flatMap(({ names }) => names)).size;
    const lost = adapter.tensors.size - places - placed.unused.length;
    if (lost !== 0)
      return failed([`of ${adapter.tensors.size} tensors ${lost} are neither placed nor reported as unused`]);
    return passed(`${places} tensors${placed.unused.length > 0 ? `, ${placed.unused.length} rightly unused` : ''}`);
  },
};

function torchShape({ modules }: ConformanceCase, module: string): readonly number[] | undefined {
  const entry = Object.hasOwn(modules, module) ? modules[module] : undefined;
  // GPT-2's Conv1D is a linear layer whose weight is stored as [in, out].
  return entry && (entry[1] === 'Conv1D' ? entry[0].toReversed() : entry[0]);
}
