/** @file Checks merging: outputs against the unmerged model, and weights against PEFT. */

import path from 'node:path';
import { merge as mergeModel, type MergeResult, type Model, openModel, float32, type Tensor } from '@onnx-lora/sdk';
import { ParameterFinder, transposedMatrix, withParts } from '@onnx-lora/sdk/core';
import { type ConformanceCase, mayBeAbsent } from '../case.ts';
import { type Check, judge, notApplicable } from '../check.ts';
import { compareTensors, type Difference, type Tolerance } from '../compare.ts';
import { caseAdapter, outputsOf, toleranceOf } from '../outputs.ts';

export const merge: Check = {
  name: 'merge',
  async run(subject, { runtime, plugins, scratch }) {
    const adapter = await caseAdapter(subject);
    if (subject.noMerge !== undefined) {
      const { tunings } = await subject.model.place(adapter);
      if (tunings.some(({ tuning }) => tuning.noMerge))
        return notApplicable(`neither here nor in PEFT: ${subject.noMerge}`);
    }
    const file = path.join(scratch, 'merged.onnx');
    const { rounding } = await mergeModel(subject.model, adapter, file, { requantize: true });
    const model = await openModel(file, { runtime, plugins });
    const [merged, unmerged] = [await outputsOf(model, subject), await outputsOf(subject.model, subject, adapter)];
    const outputs = Object.entries(unmerged).map(([name, tensor]) =>
      compareTensors(name, merged[name], tensor, outputTolerance(toleranceOf(subject, 'output'), rounding)),
    );
    // A module missing from the graph has no weight to merge into.
    const mergeable = [...(subject.merged ?? [])].filter(([name]) => !mayBeAbsent(subject, moduleOf(name)));
    const weights = mergeable.map(([name, tensor]) =>
      compareTensors(
        name,
        parameterOf(model, subject, name),
        tensor,
        weightTolerance(toleranceOf(subject, 'weight'), rounding, moduleOf(name)),
      ),
    );
    return judge([...outputs, ...weights, ...rounding.map(roundingDifference)]);
  },
};

/** Rounding may change a weight only as its bits explain: half a step between the group's extremes. */
function roundingDifference({ module, storage, relativeError }: MergeResult['rounding'][number]): Difference {
  const bits = Number(/\d+/.exec(storage)?.[0]);
  const limit = bits >= 16 ? 0.005 : bits === 8 ? 0.03 : bits === 4 ? 0.25 : 0.6;
  const problem = `${module} (${storage}) is off by ${relativeError.toPrecision(3)} of its norm after rounding, allowed ${limit}`;
  return {
    name: module,
    maxError: relativeError,
    tolerance: { relativeRms: limit },
    ...(relativeError <= limit ? {} : { problem }),
  };
}

/** A merged weight in integers or 16 bits may differ by the reported rounding. */
function weightTolerance(own: Tolerance, rounding: MergeResult['rounding'], module: string): Tolerance {
  const found = rounding.find((each) => each.module === module);
  return found ? widened(own, 2 * found.relativeError) : own;
}

/** Errors of layers add up like noise, and later layers may amplify them. */
function outputTolerance(own: Tolerance, rounding: MergeResult['rounding']): Tolerance {
  if (rounding.length === 0) return own;
  return widened(own, 4 * Math.hypot(...rounding.map(({ relativeError }) => relativeError)));
}

function widened(own: Tolerance, by: number): Tolerance {
  return { relativeRms: ('relativeRms' in own ? own.relativeRms : 0) + by };
}

function moduleOf(parameter: string): string {
  return parameter.slice(0, parameter.lastIndexOf('.'));
}

/** A parameter of the model by torch's name, in torch's layout. */
function parameterOf(model: Model, { modules }: ConformanceCase, name: string): Tensor | undefined {
  const module = moduleOf(name);
  const stacked = model.sites().find((each) => each.path === name);
  if (stacked) return float32(stacked.weight.stored.read(), stacked.weight.stored.dims);
  const site = withParts(model.sites()).find((each) => each.path === module);
  const part = name.slice(module.length + 1);
  // MultiheadAttention keeps the projections of queries, keys and values in one parameter.
  if (site && (part === 'weight' || part === 'in_proj_weight')) {
    // GPT-2's Conv1D stores its weight as [in, out].
    const isInOut = modules[module]?.[1] === 'Conv1D';
    const stored = float32(site.weight.stored.read(), site.weight.stored.dims);
    return site.weight.layout === (isInOut ? 'out-in' : 'in-out') ? transposedMatrix(stored) : stored;
  }
  if (part === 'bias' && site?.bias) return float32(site.bias.stored.read(), site.bias.stored.dims);
  // Exporters give the weights of group normalisations numbers for names, and more dimensions.
  const found = new ParameterFinder(model.onnx.model.graph, model.sites()).find(module, part);
  return found && float32(found.stored.read(), found.torchDims ?? found.stored.dims);
}
