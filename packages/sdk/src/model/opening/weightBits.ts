/** @file How many bits integer weights may have on this machine: the runtime is asked whether its products saturate. */

import { GraphBuilder, type Value } from '../../graph/builder.ts';
import { sessionModel } from '../../graph/file/onnxFile.ts';
import { valueInfo } from '../../lora/valueInfo.ts';
import { inferNode } from '../../ops/infer.ts';
import type { WeightBits } from '../../ops/precision/integerWeight.ts';
import type { Runtime } from '../../runtime/session.ts';
import type { Tensor } from '../../runtime/tensor.ts';

const OPSET = 13;
const ROWS = 8;
const SIZE = 64;

/**
 * Multiplies the largest integers of eight bits. On x86 processors without VNNI, ONNX Runtime adds two such products in 16
 * bits and cuts off what does not fit, so that weights may only have 7.
 *
 * @throws OnnxLoraError `RUNTIME_FAILED`
 */
export async function measureWeightBits(runtime: Runtime): Promise<WeightBits> {
  const g = new GraphBuilder({ opset: OPSET, infer: inferNode, prefix: '' });
  const dims = [ROWS, SIZE];
  const x: Value = { name: 'x', type: 'uint8', shape: dims };
  const weight = g.constant({ type: 'int8', dims: [SIZE, SIZE], data: new Int8Array(SIZE * SIZE).fill(127) });
  const y = g.emit('MatMulInteger', [x, weight]);
  const graph = {
    name: 'products',
    node: g.nodes,
    initializer: g.initializers,
    input: [valueInfo(x.name, 'uint8', dims)],
    output: [{ name: y.name }],
  };
  const model = { irVersion: 7, opsetImport: [{ domain: '', version: OPSET }], graph };
  const session = await runtime.createSession(
    { ...sessionModel(model), name: 'the measurement of integer products' },
    { provider: 'cpu', threads: 1 },
  );
  try {
    const largest: Tensor = { type: 'uint8', dims, data: new Uint8Array(ROWS * SIZE).fill(255) };
    const { [y.name]: products } = await session.run({ [x.name]: largest });
    return Array.from(products!.data, Number).every((each) => each === 255 * 127 * SIZE) ? 8 : 7;
  } finally {
    await session.release();
  }
}
