/** @file Every tensor of an adapter that PEFT saved finds its place in the graph. */

import { parseTensorName } from '@onnx-lora/sdk/core';
import { mayBeAbsent } from '../case.ts';
import { type Check, failed, passed } from '../check.ts';
import { caseAdapter } from '../outputs.ts';

/** The check. */
export const load: Check = {
  name: 'load',
  async run(subject) {
    const adapter = await caseAdapter(subject);
    const placed = await subject.model.place(adapter, { toTrain: true });
    const homeless = placed.unused.filter((name) => {
      const { module, role } = parseTensorName(name);
      const isBase = role === 'base_layer.weight' || module.split('.').includes('original_module');
      return !isBase && !mayBeAbsent(subject, module);
    });
    if (homeless.length > 0) return failed(homeless.map((name) => `${name} has no place`));
    // Trained rows of a table have a place in each layer that shares it.
    const places = new Set(placed.tunings.flatMap(({ names }) => names)).size;
    const lost = adapter.tensors.size - places - placed.unused.length;
    if (lost !== 0)
      return failed([`of ${adapter.tensors.size} tensors ${lost} are neither placed nor reported as unused`]);
    return passed(`${places} tensors${placed.unused.length > 0 ? `, ${placed.unused.length} rightly unused` : ''}`);
  },
};
