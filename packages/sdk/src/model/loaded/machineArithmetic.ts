/** @file Runs products on this machine to learn its arithmetic: float16 support, and saturation of integers. */

import { OnnxLoraError } from '../../errors.ts';
import { dataTypeNumber } from '../../graph/dataType.ts';
import { GraphBuilder, type Value } from '../../graph/builder.ts';
import { sessionModel } from '../../ops/session/sessionModel.ts';
import { modelOf } from '../../graph/valueInfo.ts';
import { inferNode } from '../../ops/infer.ts';
import type { Runtime } from '../../runtime/session.ts';
import { float32, type Tensor } from '../../runtime/tensor.ts';

const OPSET = 13;
const SIZE = 16;

/**
 * Runs the float16 products of training and compares them with the CPU's. Cached per runtime and provider.
 * @throws OnnxLoraError `PROVIDER_UNAVAILABLE` if the provider is missing, falls back to the CPU, or returns wrong
 *   results
 */
export async function requireHalf(runtime: Runtime, provider: string): Promise<void> {
  const known = asked.get(runtime) ?? new Map<string, Promise<void>>();
  asked.set(runtime, known);
  const answer = known.get(provider) ?? ask(runtime, provider);
  known.set(provider, answer);
  await answer;
}

const asked = new WeakMap<Runtime, Map<string, Promise<void>>>();

async function ask(runtime: Runtime, provider: string): Promise<void> {
  const dims = [SIZE, SIZE];
  const g = new GraphBuilder({ opset: OPSET, infer: inferNode, prefix: '' });
  const x: Value = { name: 'x', type: 'float32', shape: dims };
  const half = g.Cast(x, dataTypeNumber('float16'));
  const y = g.Cast(g.Gemm(g.MatMul(half, half), half, undefined, { transB: true }), dataTypeNumber('float32'));
  const session = await runtime.createSession(
    { ...sessionModel(modelOf(g, x, y)), name: 'a product in float16' },
    { provider, strict: true },
  );
  try {
    // Values whose products and sums are exact in float16.
    const values = Float32Array.from({ length: SIZE * SIZE }, (_, i) => ((i * 7) % 5) - 2);
    await session.run({ [x.name]: float32(values, dims) });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new OnnxLoraError(
      'PROVIDER_UNAVAILABLE',
      `precision "float16" needs a provider that computes in it, and "${provider}" does not on this machine: ${reason} Leave precision out, or use another provider.`,
      { cause },
    );
  } finally {
    await session.release();
  }
}

const WIDTH = 64;
/** Repeated columns of a weight: the last overflows 16-bit sums; the others fit if neighbours are added pairwise. */
const COLUMNS = [
  [64, 64, 64, 64],
  [127, 1, 1, 127],
  [127, -127, -127, 127],
  [127, 127, 127, 127],
] as const;

/**
 * True if ONNX Runtime's 8-bit products saturate: x86 processors without VNNI add two neighbours in 16 bits.
 * @throws OnnxLoraError `RUNTIME_FAILED` for products that are wrong otherwise
 */
export async function measureSaturation(runtime: Runtime): Promise<boolean> {
  const exact = [...(await areExact(runtime, 1)), ...(await areExact(runtime, 8))];
  if (exact.some((isExact, i) => !isExact && i % COLUMNS.length < COLUMNS.length - 1)) {
    throw new OnnxLoraError(
      'RUNTIME_FAILED',
      'Products of integers of eight bits are wrong on this processor, even where two neighbours fit into 16 bits. Open the model in precision "float32".',
    );
  }
  return exact.includes(false);
}

async function areExact(runtime: Runtime, rows: number): Promise<readonly boolean[]> {
  const g = new GraphBuilder({ opset: OPSET, infer: inferNode, prefix: '' });
  const dims = [rows, WIDTH];
  const x: Value = { name: 'x', type: 'uint8', shape: dims };
  const columns = WIDTH * COLUMNS.length;
  const data = Int8Array.from({ length: WIDTH * columns }, (_, i) => {
    const [row, column] = [Math.floor(i / columns), i % COLUMNS.length];
    return COLUMNS[column]![row % 4]!;
  });
  const y = g.emit('MatMulInteger', [x, g.constant({ type: 'int8', dims: [WIDTH, columns], data })]);
  const session = await runtime.createSession(
    { ...sessionModel(modelOf(g, x, y)), name: 'the measurement of integer products' },
    { provider: 'cpu', threads: 1 },
  );
  try {
    const largest: Tensor = { type: 'uint8', dims, data: new Uint8Array(rows * WIDTH).fill(255) };
    const { [y.name]: products } = await session.run({ [x.name]: largest });
    const found = Array.from(products!.data, Number);
    return COLUMNS.map((pattern, column) => {
      const wanted = (255 * WIDTH * pattern.reduce((sum, value) => sum + value, 0)) / pattern.length;
      return found.every((value, i) => i % COLUMNS.length !== column || value === wanted);
    });
  } finally {
    await session.release();
  }
}
