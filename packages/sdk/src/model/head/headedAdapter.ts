/** @file What makes an adapter with a new head complete: its notes, and the units of its outputs. */

import { Adapter } from '../../adapter/adapter.ts';
import type { AdapterNotes } from '../../adapter/storage/adapterNotes.ts';
import { tensorName } from '../../adapter/formats/tensorNames.ts';
import type { NewHead } from '../../plugin/preparedTask.ts';
import { float32, type Tensor } from '../../runtime/tensor.ts';

/** The adapter with notes beside those that it has. */
export function withNotes(adapter: Adapter, notes: AdapterNotes): Adapter {
  if (Object.keys(notes).length === 0) return adapter;
  return new Adapter(adapter.config, adapter.tensors, adapter.baseDigest, { ...adapter.notes, ...notes });
}

/**
 * The adapter whose head gives `factor · y + offset` of what it was trained to give: in units of the data, where it was
 * trained on standardised targets. Weight and bias take it in, so that whoever loads the adapter needs to know of nothing.
 */
export function withTargetScaling(
  adapter: Adapter,
  units: NonNullable<NewHead['targetScaling']>,
  modules: readonly string[],
): Adapter {
  const tensors = new Map(adapter.tensors);
  for (const module of modules) {
    const [weight, bias] = ['weight', 'bias'].map((parameter) => tensorName(module, 'parameter', parameter)) as [string, string]; // prettier-ignore
    const change = (name: string, value: (old: number, output: number) => number): void => {
      const { data, dims } = tensors.get(name) as Tensor & { readonly data: Float32Array };
      const row = data.length / dims[0]!;
      tensors.set(name, float32(data.map((old, i) => value(old, Math.floor(i / row))), [...dims])); // prettier-ignore
    };
    change(weight, (old, output) => old * units.factor[output]!);
    change(bias, (old, output) => old * units.factor[output]! + units.offset[output]!);
  }
  return new Adapter(adapter.config, tensors, adapter.baseDigest, adapter.notes);
}
