/** @file Models whose weights are stored in 16 bits, as checkpoints of language models are, and a runtime for small ones. */

import { OrtRuntime, type Runtime } from '@onnx-lora/sdk';
import { dataTypeNumber, type GraphProto, type ModelProto, readFloats, type TensorProto } from '@onnx-lora/sdk/plugin';
import { withValueNames } from '../../packages/sdk/src/graph/uniqueNames.ts';
import { floatTensor } from '../../packages/sdk/src/match/weights/plain.ts';
import { sizeOf } from '../../packages/sdk/src/runtime/tensor.ts';

type Short = 'bfloat16' | 'float16';

/** The float32 weights of a model rounded to 16 bits: stored so, with a Cast, and as float32. Graphs without branches. */
export function inShorts(
  model: ModelProto & { readonly graph: GraphProto },
  type: Short,
): { readonly stored: ModelProto; readonly rounded: ModelProto } {
  const { initializer = [], node = [] } = model.graph;
  const isWeight = ({ dataType, dims = [] }: TensorProto): boolean =>
    dataType === dataTypeNumber('float32') && dims.length > 0 && sizeOf(dims) > 1;
  const shorts = new Map(
    initializer.filter(isWeight).map((each) => [each.name!, floatTensor(each.name!, type, readFloats(each), each.dims!)]),
  ); // prettier-ignore
  const wide = (name: string): string => (shorts.has(name) ? `${name}/Cast` : name);
  const casts = [...shorts.keys()].map((name) => ({
    name: `${name}/Cast`,
    opType: 'Cast',
    input: [name],
    output: [wide(name)],
    attribute: [{ name: 'to', type: 2, i: dataTypeNumber('float32') }],
  }));
  const read = withValueNames({ node }, wide).node!;
  const replaced = (of: (short: TensorProto) => TensorProto): TensorProto[] =>
    initializer.map((each) => (shorts.has(each.name!) ? of(shorts.get(each.name!)!) : each));
  return {
    stored: { ...model, graph: { ...model.graph, initializer: replaced((each) => each), node: [...casts, ...read] } },
    rounded: {
      ...model,
      graph: {
        ...model.graph,
        initializer: replaced((each) => floatTensor(each.name!, 'float32', readFloats(each), each.dims!)),
      },
    },
  };
}

/** ONNX Runtime that reads even small weights where they are mapped, in parts of at most `part` numbers. */
export function mappingRuntime(part: number): Runtime {
  const runtime = new OrtRuntime();
  return {
    createSession: (source, options) => {
      const small = { prepack: false, smallest: 1, part };
      return runtime.createSession({ ...source, ...(source.onCpu && { onCpu: () => source.onCpu!(small) }) }, options);
    },
  };
}
