/** @file Recurrent nodes as models have them: with outputs left out, and with what has no rule. */

import { describe, expect, test } from 'vitest';
import { type Composite, gradcheck } from '../../../../../test/support/gradcheck.ts';
import { differentiated } from '../../../../../test/support/differentiated.ts';
import type { GraphBuilder, Value } from '../../graph/builder.ts';
import { type Attributes, float } from '../../graph/attributes.ts';
import { attributeType } from '../../graph/proto.ts';
import { tensor } from '../../runtime/tensor.ts';

const shapes = { x: [3, 2, 2], w: [1, 8, 2], r: [1, 8, 2] } as const;

test.each([
  ['LSTM', 3, 8],
  ['GRU', 2, 6],
])('%s with the last state as its only output', async (op, outputs, rows) => {
  const build: Composite = (g, [x, w, r]) => {
    const all = g.emitMany(op, [x!, w!, r!], outputs, { hidden_size: 2 });
    g.nodes.at(-1)!.output![0] = '';
    return g.Mul(all[1]!, all[1]!);
  };
  const inputs = [[3, 2, 2], [1, rows, 2], [1, rows, 2]] as const; // prettier-ignore
  for (const { error, tolerance } of await gradcheck(build, { inputs: [...inputs], type: 'float32' })) {
    expect(error).toBeLessThan(tolerance);
  }
});

test('lengths that are all the whole length', async () => {
  const build: Composite = (g, [x, w, r]) => {
    const lengths = g.constant(tensor('int32', Int32Array.of(3, 3), [2]));
    // As of an initializer of the file.
    g.types.set(lengths.name, { ...lengths, ints: [3, 3] });
    return g.emit('LSTM', [x!, w!, r!, undefined, lengths], { hidden_size: 2 });
  };
  const inputs = [shapes.x, shapes.w, shapes.r];
  for (const { error, tolerance } of await gradcheck(build, { inputs, type: 'float32' })) {
    expect(error).toBeLessThan(tolerance);
  }
});

describe('what has no rule', () => {
  const lstm = (g: GraphBuilder, { x, w, r }: Readonly<Record<string, Value>>, attributes: Attributes = {}): Value =>
    g.emit('LSTM', [x!, w!, r!], { hidden_size: 2, ...attributes });
  type Build = (g: GraphBuilder, inputs: Readonly<Record<string, Value>>) => Value;
  test.each<[string, Build]>([
    ['clip', (g, values) => lstm(g, values, { clip: float(3) })],
    ['input_forget', (g, values) => lstm(g, values, { input_forget: 1 })],
    ['layout 1', (g, values) => lstm(g, values, { layout: 1 })],
    [
      'activations relu, tanh, tanh',
      (g, values) => {
        const y = lstm(g, values);
        const strings = ['relu', 'tanh', 'tanh'].map((name) => new TextEncoder().encode(name));
        g.nodes.at(-1)!.attribute!.push({ name: 'activations', type: attributeType.strings, strings });
        return y;
      },
    ],
    [
      'sequence_lens, which may be shorter than the input,',
      (g, { x, w, r, lengths }) => g.emit('LSTM', [x!, w!, r!, undefined, g.Cast(lengths!, 6)], { hidden_size: 2 }),
    ],
    [
      'peepholes',
      (g, { x, w, r, p }) =>
        g.emit('LSTM', [x!, w!, r!, undefined, undefined, undefined, undefined, p], { hidden_size: 2 }),
    ],
  ])('%s', (what, build) => {
    const run = (): unknown =>
      differentiated({ ...shapes, lengths: [2], p: [1, 6] }, ['x'], (g, values) =>
        g.ReduceSum(build(g, values), [0, 1, 2, 3], false),
      );
    expect(run).toThrow(
      expect.objectContaining({
        code: 'NO_GRADIENT',
        message: expect.stringContaining(`with ${what} has no gradient`),
      }),
    );
  });
});
