/** @file Adds inputs that only adapters read: a number per example of a batch. */

import { OnnxLoraError } from '../../errors.ts';
import type { GraphProto, ModelProto } from '../../graph/proto.ts';
import type { ValueType } from '../../graph/value.ts';
import { dataTypeNumber } from '../../graph/dataType.ts';
import { batchInputsOf } from '../../ops/rows/batchAxes.ts';

/**
 * Adds int64 inputs `[batch]`, as long as the input that determines the batch size.
 * @throws OnnxLoraError `INPUT_INVALID` for a name that the graph has; `MODEL_UNSUPPORTED` if no input has a batch
 */
export function withRowInputs<M extends ModelProto & { readonly graph: GraphProto }>(
  model: M,
  names: readonly string[],
  types: ReadonlyMap<string, ValueType>,
  name: string,
): M {
  const known = names.find((each) => types.has(each));
  if (known !== undefined)
    throw new OnnxLoraError('INPUT_INVALID', `"${name}" has a value "${known}" already. Take another name.`);
  const batch = types.get(batchInputsOf(model.graph, types).counting)?.shape?.[0];
  if (batch === undefined) {
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `No input of "${name}" says how many examples a batch has, so none can bring numbers of its own. Export the model with a batch dimension.`,
    );
  }
  const dim = typeof batch === 'number' ? { dimValue: batch } : { dimParam: batch };
  const type = { tensorType: { elemType: dataTypeNumber('int64'), shape: { dim: [dim] } } };
  return {
    ...model,
    graph: { ...model.graph, input: [...(model.graph.input ?? []), ...names.map((each) => ({ name: each, type }))] },
  };
}
