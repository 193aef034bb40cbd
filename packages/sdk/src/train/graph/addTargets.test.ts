/** @file Tests that what reads a value reads its sum with a target. */

import { describe, expect, it } from 'vitest';
import { modelOf, runOnce } from '../../../../../test/support/graphs.ts';
import { toHalf, toShorts } from '../../runtime/halfFloat.ts';
import { GraphBuilder } from '../../graph/builder.ts';
import type { ModelProto } from '../../graph/proto.ts';
import type { ValueType } from '../../graph/value.ts';
import { inferNode } from '../../ops/infer.ts';
import { float32 } from '../../runtime/tensor.ts';
import { withAdded } from './addTargets.ts';

const x = { name: 'x', type: 'float32', shape: [2, 3] } as const;

/** `(x · x) · (x · x) − x`, and the name of `x · x`. */
function squares(): { model: ModelProto; types: Map<string, ValueType>; square: string; output: string } {
  const g = new GraphBuilder({ opset: 18, infer: inferNode, prefix: '' });
  const square = g.Mul(x, x);
  const output = g.Sub(g.Mul(square, square), x);
  const types = new Map<string, ValueType>([...g.types, [x.name, x]]);
  return { model: modelOf({ opset: 18, inputs: [x], outputs: [output.name], nodes: g.nodes, initializers: g.initializers }), types, square: square.name, output: output.name }; // prettier-ignore
}

const feed = float32([1, 2, 3, -1, -2, 0], [2, 3]);
const noise = float32([0.5, -1, 2, 0, 1, 3], [2, 3]);

describe('a target that is added', () => {
  it('is in all that reads the value, in its type', async () => {
    for (const given of [
      noise,
      { type: 'float16', dims: [2, 3], data: toShorts(noise.data as Float32Array, toHalf) } as const,
    ]) {
      const { model, types, square, output } = squares();
      const { graph, ...rest } = withAdded(model, types, { noise: given }, { noise: square });
      expect(types.get('target/noise')).toMatchObject({ type: given.type, shape: [2, 3] });
      const port = { name: 'target/noise', type: given.type, shape: [2, 3] };
      const declared = modelOf({ opset: 18, inputs: [x, port], outputs: [output], nodes: graph!.node!, initializers: graph!.initializer! }); // prettier-ignore
      const found = await runOnce({ ...rest, ...declared }, { x: feed, 'target/noise': given });
      const expected = [...(feed.data as Float32Array)].map(
        (value, i) => (value ** 2 + Number(noise.data[i])) ** 2 - value,
      );
      expect([...(found[output]!.data as Float32Array)]).toEqual(expected);
    }
  });

  it('is not there in a batch without it', () => {
    const { model, types, square } = squares();
    expect(withAdded(model, types, {}, { noise: square })).toBe(model);
  });

  it('needs a value of its shape', () => {
    const { model, types, square } = squares();
    expect(() => withAdded(model, types, { noise: float32([1], [1]) }, { noise: square })).toThrow(/"noise" of shape \[1\] cannot be added to ".*" of shape \[2, 3\]/); // prettier-ignore
    expect(() => withAdded(model, types, { noise }, { noise: 'x' })).toThrow(
      /which no node of the main graph computes/,
    );
  });
});
