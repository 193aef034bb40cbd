/** @file Checks that a provider computes float16 products on this machine, by running one. */

import { OnnxLoraError } from '../../errors.ts';
import { dataTypeNumber } from '../../graph/dataType.ts';
import { GraphBuilder, type Value } from '../../graph/builder.ts';
import { sessionModel } from '../../graph/file/onnxFile.ts';
import { modelOf } from '../../graph/valueInfo.ts';
import { inferNode } from '../../ops/infer.ts';
import type { Runtime } from '../../runtime/session.ts';
import { float32 } from '../../runtime/tensor.ts';

const OPSET = 13;
const SIZE = 16;

/**
 * Runs the float16 products of training and compares them with the CPU's. Cached per runtime and provider.
 *
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
