/** @file Replaces sequences from SplitToSequence, as some exporters write a split, by Slices. */

import type { GraphProto, NodeProto, TensorProto } from '../../graph/proto.ts';
import { readTensor, tensorProto } from '../../graph/tensorData.ts';
import { type GraphIndex, indexGraph } from '../../graph/walk.ts';
import { int64 } from '../../runtime/tensor.ts';
import { attributeOf } from '../schema.ts';

/** Replaces each `SequenceAt(SplitToSequence(x), i)` of constant sizes by a Slice, which has a shape and gradient. */
export function listsAsSlices(graph: GraphProto, opset: number): GraphProto {
  if (!(graph.node ?? []).some(({ opType }) => opType === 'SplitToSequence')) return graph;
  const index = indexGraph(graph);
  const initializers: TensorProto[] = [];
  const node = (graph.node ?? []).map((each) =>
    each.opType === 'SequenceAt' ? slice(each, index, initializers, opset) : each,
  );
  return { ...graph, node, initializer: [...(graph.initializer ?? []), ...initializers] };
}

function slice(at: NodeProto, index: GraphIndex, initializers: TensorProto[], opset: number): NodeProto {
  const [list = '', position = ''] = at.input ?? [];
  const split = index.producer.get(list);
  const [i] = numbers(index.constants.get(position)) ?? [];
  if (split?.opType !== 'SplitToSequence' || i === undefined) return at;
  const [x = '', sizes] = split.input ?? [];
  const bounds = boundsOf(i, sizes ? index.constants.get(sizes) : undefined);
  // Without sizes each part has one element, and may lose the axis.
  if (!bounds || (sizes ? false : attributeOf(split, 'keepdims') === 0) || opset < 10) return at;
  const [output = ''] = at.output ?? [];
  const constant = (name: string, value: number): string => {
    initializers.push(tensorProto(`${output}/${name}`, int64([value], [1])));
    return `${output}/${name}`;
  };
  const [start, end] = bounds;
  const axis = constant('axis', attributeOf(split, 'axis'));
  return { ...at, opType: 'Slice', input: [x, constant('start', start), constant('end', end), axis] };
}

/** Start and end of part `i`; undefined if unknown. */
function boundsOf(i: number, sizes: TensorProto | undefined): readonly [number, number] | undefined {
  const known = numbers(sizes);
  if (!known || (sizes!.dims ?? []).length === 0) {
    const [size] = known ?? [sizes ? undefined : 1];
    return size === undefined || i < 0 ? undefined : [i * size, (i + 1) * size];
  }
  const part = i < 0 ? i + known.length : i;
  const start = known.slice(0, part).reduce((sum, size) => sum + size, 0);
  return known[part] === undefined ? undefined : [start, start + known[part]];
}

function numbers(tensor: TensorProto | undefined): number[] | undefined {
  return tensor && Array.from(readTensor(tensor).data as ArrayLike<number | bigint>, Number);
}
