/** @file LSTM and GRU weights: bare parameters, as in torch. */

import type { NodeProto } from '../../graph/proto.ts';
import type { GraphIndex } from '../../graph/walk.ts';
import { constantWeight } from '../weights/index.ts';
import type { Layer } from './layer.ts';
import { attributeOf } from '../../ops/schema.ts';

/** A weight of a recurrent node. */
export interface RecurrentWeight extends Layer {
  /** torch's parameter name without the layer number: `weight_ih`, with `_reverse` for the second direction. */
  readonly parameter: readonly [name: 'weight_ih' | 'weight_hh', suffix: '' | '_reverse'];
}

/** Input and state weights per direction, in torch's order. ONNX stacks them: `[directions, gates · hidden, in]`. */
export function recurrentWeights(node: NodeProto, index: GraphIndex): RecurrentWeight[] {
  const { opType = '', input = [], output = [] } = node;
  if (opType !== 'LSTM' && opType !== 'GRU') return [];
  const [x, ...weights] = input.slice(0, 3);
  const yielded = output.find(Boolean);
  const stored = weights.map((name) => constantWeight(name, index));
  if (!x || !yielded || constantWeight(x, index)) return [];
  const isReversed = attributeOf(node, 'direction') === 'reverse';
  return [0, 1].flatMap((place) =>
    stored.flatMap((weight, i): RecurrentWeight[] => {
      const [directions, rows, width] = weight?.dims ?? [];
      if (!weight || weight.dims.length !== 3 || place >= directions! || rows! % (opType === 'LSTM' ? 4 : 3) !== 0)
        return [];
      return [
        {
          kind: 'parameter',
          node,
          nodes: [node],
          input: x,
          product: yielded,
          output: yielded,
          weight: { name: weight.name, layout: 'torch', stored: weight },
          weightShape: [rows!, width!],
          recurrent: { input: i + 1, place },
          parameter: [i === 0 ? 'weight_ih' : 'weight_hh', place === 1 || isReversed ? '_reverse' : ''],
        },
      ];
    }),
  );
}
