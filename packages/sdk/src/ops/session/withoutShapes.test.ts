/** @file A long graph loads without shapes, and computes the same for all sizes; others are left alone. */

import { expect, it } from 'vitest';
import { modelFrom } from '../../../../../test/support/graphs.ts';
import { GraphBuilder, type Value } from '../../graph/builder.ts';
import type { ModelProto } from '../../graph/proto.ts';
import { tensorProto } from '../../graph/tensorData.ts';
import { OrtRuntime } from '../../runtime/ort.ts';
import { Random } from '../../runtime/random.ts';
import { float32, type Tensor } from '../../runtime/tensor.ts';
import { inferNode } from '../infer.ts';
import { sessionModel } from './sessionModel.ts';
import { withoutShapes } from './withoutShapes.ts';

const random = new Random(7);
const WIDTH = 6;
const drawn = (...dims: number[]): Tensor =>
  float32(Float32Array.from({ length: dims.reduce((a, b) => a * b) }, () => random.normal()), dims); // prettier-ignore

/** Layers of products and softmax whose rows are read in another order. */
function modelOf(rows: string | number, layers: number): ModelProto {
  const g = new GraphBuilder({ opset: 17, infer: inferNode, prefix: 'g/' });
  const x: Value = { name: 'x', type: 'float32', shape: [rows, WIDTH] };
  let y = x;
  for (let i = 0; i < layers; i++) {
    const z = g.MatMul(y, g.constant(drawn(WIDTH, WIDTH)));
    const mixed = g.MatMul(g.Transpose(g.emit('Softmax', [z], { axis: 1 }), [1, 0]), y);
    y = g.Add(g.MatMul(z, mixed), g.Reshape(g.Reshape(z, [-1]), [-1, WIDTH]));
    y = g.Div(y, g.Add(g.ReduceMax(g.emit('Abs', [y]), [1], true), 1));
  }
  return modelFrom(g, [x], [y]);
}

async function outputsOf(model: ModelProto, feeds: readonly Tensor[]): Promise<Tensor[]> {
  const session = await new OrtRuntime().createSession({ ...sessionModel(model), name: 'm' }, { provider: 'cpu', threads: 1 }); // prettier-ignore
  const found: Tensor[] = [];
  for (const x of feeds) found.push(Object.values(await session.run({ x }))[0]!);
  await session.release();
  return found;
}

it('computes the same without shapes', async () => {
  const model = modelOf('rows', 5);
  const without = withoutShapes(model, 1)!;
  expect(without.graph!.input!.map(({ type }) => type?.tensorType)).toEqual([{ elemType: 1 }]);
  const feeds = [drawn(4, WIDTH), drawn(1, WIDTH), drawn(9, WIDTH)];
  const [wanted, found] = [await outputsOf(model, feeds), await outputsOf(without, feeds)];
  for (const [i, { dims, data }] of wanted.entries()) {
    expect(found[i]!.dims).toEqual(dims);
    data.forEach((value, j) => expect(Math.abs(Number(value) - Number(found[i]!.data[j]))).toBeLessThan(1e-5));
  }
});

it('leaves short and static graphs alone, and the shapes of defaults', () => {
  const model = modelOf('rows', 5);
  const count = model.graph!.node!.length;
  expect(withoutShapes(model, count)).toBeDefined();
  expect(withoutShapes(model, count + 1)).toBeUndefined();
  expect(withoutShapes(modelOf(4, 5), 1)).toBeUndefined();
  const [x] = model.graph!.input!;
  const other = { ...x!, name: 'w' };
  const both: ModelProto = {
    ...model,
    graph: {
      ...model.graph,
      input: [x!, other],
      initializer: [...model.graph!.initializer!, tensorProto('w', drawn(2, WIDTH))],
    },
  };
  expect(withoutShapes(both, 1)!.graph!.input![1]).toEqual(other);
});
