/** @file ONNX Runtime's outputs of a graph, compared with those of the compiled graph before its numbers are used. */

import { type Feeds, float32, OnnxLoraError, type Tensor, WorkerRuntime } from '@onnx-lora/sdk';
import { Random } from '@onnx-lora/sdk/data';
import type { SessionOptions, SessionSource } from '@onnx-lora/sdk/plugin';

/**
 * Outputs smaller than this part of the largest are compared with that: their own norm may be rounding alone. More for outputs
 * of few numbers, such as the gradient of a classifier's bias, which are sums over a batch that may cancel out.
 */
const FLOOR = { many: 1e-2, few: 0.5 };
const FEW = 64;
/** Standard deviation of numbers that replace zeros. */
const NOISE = 0.02;

/** The outputs that a graph should have. */
export interface Reference {
  /** The inputs that it was computed for. */
  readonly feeds: Feeds;
  /** @throws OnnxLoraError `PROVIDER_UNAVAILABLE` with the output that differs most, if it differs too much */
  compare(actual: Readonly<Record<string, Tensor>>): void;
}

/**
 * Computes a graph by ONNX Runtime's CPU provider. Inputs that are zeros are filled with small numbers, since an adapter's B
 * of zeros hides the gradients of A.
 * @param request the graph, its session's options, and the largest accepted difference of an output, relative to its
 *   Euclidean norm
 */
export async function referenceOn(
  {
    source,
    options,
    tolerance,
  }: { readonly source: SessionSource; readonly options: SessionOptions; readonly tolerance: number },
  given: Feeds,
): Promise<Reference> {
  const feeds = withoutZeros(given);
  const session = await new WorkerRuntime().createSession(source, { ...options, provider: 'cpu', verify: false });
  try {
    const expected = await session.run(feeds);
    return {
      feeds,
      compare(actual) {
        const { output, difference } = largestDifference(actual, expected);
        if (difference <= tolerance) return;
        throw new OnnxLoraError(
          'PROVIDER_UNAVAILABLE',
          `OpenVINO computes "${output}" of "${source.name}" otherwise than ONNX Runtime: by ${difference.toPrecision(2)} of its norm, where its arithmetic explains ${tolerance}. Use the provider cpu${options.arithmetic === 'bfloat16' ? ', or precision float32' : ''}.`,
        );
      },
    };
  } finally {
    await session.release();
  }
}

function withoutZeros(feeds: Feeds): Feeds {
  const random = new Random(0);
  return Object.fromEntries(
    Object.entries(feeds).map(([name, tensor]) => {
      if (tensor.type !== 'float32' || (tensor.data as Float32Array).some((each) => each !== 0)) return [name, tensor];
      return [
        name,
        float32(
          new Float32Array(tensor.data.length).map(() => NOISE * random.normal()),
          tensor.dims,
        ),
      ];
    }),
  );
}

/** The output that differs most, by the Euclidean norm of the difference relative to its own. */
function largestDifference(
  actual: Readonly<Record<string, Tensor>>,
  expected: Readonly<Record<string, Tensor>>,
): { readonly output: string; readonly difference: number } {
  const norms = new Map(Object.entries(expected).map(([name, { data }]) => [name, normOf(data)]));
  const largest = Math.max(...norms.values());
  let worst = { output: '', difference: 0 };
  for (const [output, { data }] of Object.entries(expected)) {
    const own = actual[output];
    const off = own?.data.length === data.length ? normOf(data, own.data) : Infinity;
    const least = largest * (data.length < FEW ? FLOOR.few : FLOOR.many);
    const difference = off === 0 ? 0 : off / Math.max(norms.get(output)!, least);
    if (!(difference <= worst.difference)) worst = { output, difference };
  }
  return worst;
}

/** The norm of a tensor's numbers, or of their difference from others; equal infinities differ by nothing. */
function normOf(values: Tensor['data'], others?: Tensor['data']): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) {
    const [a, b] = [Number(values[i]), others === undefined ? 0 : Number(others[i])];
    if (others === undefined ? Number.isFinite(a) : !Object.is(a, b)) sum += (a - b) ** 2;
  }
  return Math.sqrt(sum);
}
