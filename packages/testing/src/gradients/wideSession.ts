/** @file Sessions in double precision where ONNX Runtime has the kernels. */

import { OnnxLoraError, type Session, type Feeds, type Tensor } from '@onnx-lora/sdk';
import { type GraphProto, type ModelProto, inferGraph } from '@onnx-lora/sdk/plugin';
import { cpuSession } from '../graphs.ts';
import { toFloat64 } from './float64.ts';

/** Precision of a reference computation. */
export type Precision = 'float32' | 'float64';

/** A session, and the type in which the chosen inputs are fed. */
export interface WideSession {
  readonly session: Session;
  readonly precision: Precision;
}

/**
 * Loads a graph with everything that depends on `inputs` in float64, or all in float32 if ONNX Runtime lacks a float64
 * kernel, such as for Resize.
 * @param inputs float inputs to convert
 * @param feeds the later feeds, for their shapes
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for a graph in 16-bit floats, whose rounding drowns differences
 */
export async function wideSession(
  model: ModelProto & { readonly graph: GraphProto },
  inputs: ReadonlySet<string>,
  feeds: Feeds,
  name: string,
): Promise<WideSession> {
  const half = [...inferGraph(model)].find(([, { type }]) => type === 'float16' || type === 'bfloat16');
  if (half) {
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `"${name}" computes "${half[0]}" in ${half[1].type}, whose rounding drowns finite differences. Check its float32 export.`,
    );
  }
  const wide = toFloat64(model, inputs, feeds);
  if (wide) {
    try {
      return { session: await cpuSession(wide, name), precision: 'float64' };
    } catch (error) {
      if (!(error instanceof OnnxLoraError)) throw error;
    }
  }
  return { session: await cpuSession(model, name), precision: 'float32' };
}

/** Numbers as a tensor of that precision, copied only if converted. */
export function floatTensor(
  values: Float32Array | Float64Array,
  dims: readonly number[],
  precision: Precision,
): Tensor & { readonly data: Float32Array | Float64Array } {
  const ArrayType = precision === 'float64' ? Float64Array : Float32Array;
  return { type: precision, dims, data: values instanceof ArrayType ? values : ArrayType.from(values) };
}
