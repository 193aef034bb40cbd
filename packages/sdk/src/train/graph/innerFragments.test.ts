/** @file Tests that what reads a value reads what a fragment makes of it. */

import { describe, expect, it } from 'vitest';
import { modelOf, runOnce } from '../../../../../test/support/graphs.ts';
import { GraphBuilder } from '../../graph/builder.ts';
import type { ModelProto } from '../../graph/proto.ts';
import type { ValueType } from '../../graph/value.ts';
import { inferNode } from '../../ops/infer.ts';
import { float32 } from '../../runtime/tensor.ts';
import { type InnerFragment, replaceInnerValues } from './innerFragments.ts';

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
/** The value, a target and twice another value together, with a constant. */
const sum: InnerFragment = (g, own, { targets: { noise: given }, value }) =>
  given ? g.Add(g.Add(own, given), g.Mul(value('x'), 2)) : own;

describe('a fragment inside the graph', () => {
  it('is in all that reads the value', async () => {
    const { model, types, square, output } = squares();
    const { graph, ...rest } = replaceInnerValues(model, types, { noise }, { [square]: sum });
    expect(types.get('target/noise')).toMatchObject({ type: 'float32', shape: [2, 3] });
    const port = { name: 'target/noise', type: 'float32', shape: [2, 3] } as const;
    const declared = modelOf({ opset: 18, inputs: [x, port], outputs: [output], nodes: graph!.node!, initializers: graph!.initializer! }); // prettier-ignore
    const found = await runOnce({ ...rest, ...declared }, { x: feed, 'target/noise': noise });
    const expected = [...(feed.data as Float32Array)].map(
      (value, i) => (value ** 2 + Number(noise.data[i]) + 2 * value) ** 2 - value,
    );
    expect([...(found[output]!.data as Float32Array)]).toEqual(expected);
  });

  it('may leave a batch as it is', () => {
    const { model, types, square } = squares();
    expect(replaceInnerValues(model, types, {}, { [square]: sum })).toBe(model);
  });

  it('needs a value, and gives another of its shape', () => {
    const { model, types, square } = squares();
    const row: InnerFragment = (g, own) => g.ReduceSum(own, [0], false);
    expect(() => replaceInnerValues(model, types, {}, { [square]: row })).toThrow(/is float32 \[3\], and ".*" float32 \[2, 3\]/); // prettier-ignore
    expect(() => replaceInnerValues(model, types, { noise }, { x: sum })).toThrow(
      /no node of the main graph computes "x"/,
    );
  });
});
