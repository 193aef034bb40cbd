/** @file Detects saturating integer products on this machine, by running some. */

import { OnnxLoraError } from '../../errors.ts';
import { GraphBuilder, type Value } from '../../graph/builder.ts';
import { sessionModel } from '../../graph/file/onnxFile.ts';
import { modelOf } from '../../graph/valueInfo.ts';
import { inferNode } from '../../ops/infer.ts';
import type { Runtime } from '../../runtime/session.ts';
import type { Tensor } from '../../runtime/tensor.ts';

const OPSET = 13;
const SIZE = 64;
/** Repeated columns of a weight: the last overflows 16-bit sums; the others fit if neighbours are added pairwise. */
const COLUMNS = [
  [64, 64, 64, 64],
  [127, 1, 1, 127],
  [127, -127, -127, 127],
  [127, 127, 127, 127],
] as const;

/**
 * True if ONNX Runtime's 8-bit products saturate: x86 processors without VNNI add two neighbours in 16 bits.
 *
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
  const dims = [rows, SIZE];
  const x: Value = { name: 'x', type: 'uint8', shape: dims };
  const columns = SIZE * COLUMNS.length;
  const data = Int8Array.from({ length: SIZE * columns }, (_, i) => {
    const [row, column] = [Math.floor(i / columns), i % COLUMNS.length];
    return COLUMNS[column]![row % 4]!;
  });
  const y = g.emit('MatMulInteger', [x, g.constant({ type: 'int8', dims: [SIZE, columns], data })]);
  const session = await runtime.createSession(
    { ...sessionModel(modelOf(g, x, y)), name: 'the measurement of integer products' },
    { provider: 'cpu', threads: 1 },
  );
  try {
    const largest: Tensor = { type: 'uint8', dims, data: new Uint8Array(rows * SIZE).fill(255) };
    const { [y.name]: products } = await session.run({ [x.name]: largest });
    const found = Array.from(products!.data, Number);
    return COLUMNS.map((pattern, column) => {
      const wanted = (255 * SIZE * pattern.reduce((sum, value) => sum + value, 0)) / pattern.length;
      return found.every((value, i) => i % COLUMNS.length !== column || value === wanted);
    });
  } finally {
    await session.release();
  }
}
