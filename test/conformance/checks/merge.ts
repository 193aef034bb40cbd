/** @file The merged model does what the model with the adapter does, and its weights are those that PEFT merges. */

import path from 'node:path';
import { float32, merge as mergeModel, type Model, openModel, type Tensor } from '@onnx-lora/sdk';
import { readFloats } from '@onnx-lora/sdk/core';
import { mayBeAbsent } from '../absent.ts';
import type { ConformanceCase } from '../case.ts';
import { type Check, judge } from '../check.ts';
import { compareTensors } from '../compare.ts';
import { caseAdapter, outputsOf, toleranceOf } from '../outputs.ts';

/** The check. */
export const merge: Check = {
  name: 'merge',
  async run(subject, { runtime, scratch }) {
    const adapter = await caseAdapter(subject);
    const file = path.join(scratch, 'merged.onnx');
    await mergeModel(subject.model, adapter, file);
    const model = await openModel(file, { runtime });
    const [merged, unmerged] = [await outputsOf(model, subject), await outputsOf(subject.model, subject, adapter)];
    const outputs = Object.entries(unmerged).map(([name, tensor]) =>
      compareTensors(name, merged[name], tensor, toleranceOf(subject, 'output')),
    );
    // A module that the graph lacks has no weight to merge into.
    const mergeable = [...(subject.merged ?? [])].filter(([name]) => !mayBeAbsent(subject, moduleOf(name)));
    const weights = mergeable.map(([name, tensor]) =>
      compareTensors(name, parameterOf(model, subject, name), tensor, toleranceOf(subject, 'weight')),
    );
    return judge([...outputs, ...weights]);
  },
};

function moduleOf(parameter: string): string {
  return parameter.slice(0, parameter.lastIndexOf('.'));
}

/** A parameter of the model by torch's name, in torch's layout. */
function parameterOf(model: Model, { modules }: ConformanceCase, name: string): Tensor | undefined {
  const module = moduleOf(name);
  const site = model.sites().find((each) => each.path === module);
  const part = name.slice(module.length + 1);
  if (site && part === 'weight') {
    // GPT-2's Conv1D keeps its weight as [in, out].
    const isInOut = modules[module]?.[1] === 'Conv1D';
    const stored = float32(readFloats(site.weight.tensor), site.weight.tensor.dims ?? []);
    return site.weight.layout === (isInOut ? 'out-in' : 'in-out') ? transposed(stored) : stored;
  }
  const stored =
    part === 'bias' && site?.bias
      ? site.bias.tensor
      : model.onnx.model.graph.initializer?.find((tensor) => tensor.name === name);
  return stored && float32(readFloats(stored), stored.dims ?? []);
}

function transposed({ data, dims }: Tensor): Tensor {
  const [rows, columns] = dims as [number, number];
  return float32(
    Array.from(data as Float32Array, (_, i) => data[(i % rows) * columns + Math.floor(i / rows)] as number),
    [columns, rows],
  );
}
