/** @file Measures the gain of a precision on this machine in about a second, by product size. */

import { GraphBuilder, type Value } from '../../graph/builder.ts';
import { sessionModel } from '../../ops/session/sessionModel.ts';
import { runInSlices } from '../../graph/eventLoop.ts';
import { modelOf } from '../../graph/valueInfo.ts';
import { inferNode } from '../../ops/infer.ts';
import { frozenProducts } from '../../ops/precision/frozenProducts.ts';
import { inPrecision, type IntegerPrecision } from '../../ops/precision/precision.ts';
import type { Runtime } from '../../runtime/session.ts';
import { float32, sizeOf } from '../../runtime/tensor.ts';
import type { Model } from './model.ts';

/** Cost of a precision relative to float32. */
export interface PrecisionGain {
  /** Number of forward products in integers with frozen weights. */
  readonly products: number;
  /** Number of their weights. */
  readonly weights: number;
  /** Their time relative to float32, including rounding of operands. */
  readonly time: number;
  /** Bytes of these weights in float32. */
  readonly floatBytes: number;
  /** Bytes of their integer copies for forward and backward pass. */
  readonly integerBytes: number;
}

/** Rows of a product: tokens of two or three images. */
const ROWS = 512;
const OPSET = 17;
/** Maximum size of a measured weight; the time of wider products is proportional to their columns. */
const MOST_WEIGHTS = 4 << 20;
const TURNS = 4;

/**
 * Times products of the model's sizes, with zero weights, alternately in float32 and in the precision.
 * @throws OnnxLoraError `RUNTIME_FAILED`
 */
export async function measurePrecisionGain(
  { onnx, runtime }: Pick<Model, 'onnx' | 'runtime'>,
  precision: IntegerPrecision,
): Promise<PrecisionGain> {
  const products = [...frozenProducts(onnx.model.graph ?? {}, precision.smallest).values()];
  const sizes = new Map<string, { inside: number; columns: number; count: number }>();
  for (const { weight, isTransposed } of products) {
    const [inside, columns] = (isTransposed ? weight.dims!.toReversed() : weight.dims!) as [number, number];
    const key = `${inside} ${columns}`;
    sizes.set(key, { inside, columns, count: (sizes.get(key)?.count ?? 0) + 1 });
  }
  let [floats, integers] = [0, 0];
  for (const { inside, columns, count } of sizes.values()) {
    const timed = Math.max(1, Math.min(columns, Math.floor(MOST_WEIGHTS / inside)));
    const [inFloats, inIntegers] = await timeProduct(inside, timed, precision, runtime);
    floats += (count * columns * inFloats) / timed;
    integers += (count * columns * inIntegers) / timed;
  }
  const weights = [...new Set(products.map(({ weight }) => weight))].reduce((sum, { dims }) => sum + sizeOf(dims!), 0);
  return {
    products: products.length,
    weights,
    time: integers / floats,
    floatBytes: 4 * weights,
    integerBytes: (precision.name === 'int8' ? 2 : 1) * weights,
  };
}

async function timeProduct(
  inside: number,
  columns: number,
  precision: IntegerPrecision,
  runtime: Runtime,
): Promise<readonly [floats: number, integers: number]> {
  const g = new GraphBuilder({ opset: OPSET, infer: inferNode, prefix: '' });
  const x: Value = { name: 'x', type: 'float32', shape: [ROWS, inside] };
  const y = g.MatMul(x, g.constant(float32(new Float32Array(inside * columns), [inside, columns])));
  const exact = modelOf(g, x, y);
  const rounded = await runInSlices(inPrecision(exact, { ...precision, name: 'int8', smallest: 1 }));
  const sessions = await Promise.all(
    [exact, rounded].map((each) =>
      runtime.createSession({ ...sessionModel(each), name: 'the measurement of a product' }, { provider: 'cpu' }),
    ),
  );
  const feeds = { x: float32(new Float32Array(ROWS * inside).fill(1), [ROWS, inside]) };
  const fastest = [Infinity, Infinity];
  try {
    for (let turn = 0; turn <= TURNS; turn++) {
      for (const [i, session] of sessions.entries()) {
        const start = performance.now();
        await session.run(feeds);
        // The first run is a warm-up.
        if (turn > 0) fastest[i] = Math.min(fastest[i]!, performance.now() - start);
      }
    }
    return fastest as [number, number];
  } finally {
    for (const session of sessions) await session.release();
  }
}
