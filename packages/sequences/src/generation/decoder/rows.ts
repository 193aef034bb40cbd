/** @file Helpers for batch rows: of tensors, logits and adapters. */

import {
  type AdapterChoice,
  int64,
  OnnxLoraError,
  type RowAdapter,
  type Tensor,
  type TensorData,
} from '@onnx-lora/sdk';
import { type GraphPort, fromHalves, toHalf } from '@onnx-lora/sdk/tasks';

/** An int64 mask of ones. */
export function ones(dims: readonly number[]): Tensor {
  return int64(Array<number>(dims.reduce((product, dim) => product * dim, 1)).fill(1), dims);
}

/** Converts between float16 and float32 to the port's type, as encoder and decoder files may differ in precision. */
export function asPort(tensor: Tensor, port: GraphPort | undefined): Tensor {
  const { type, dims, data } = tensor;
  if (!port || port.type === type) return tensor;
  if (type === 'float32' && port.type === 'float16') {
    return { type: 'float16', dims, data: Uint16Array.from(data as Float32Array, toHalf) };
  }
  if (type === 'float16' && port.type === 'float32') return { type: 'float32', dims, data: floatsOf(data) };
  return tensor;
}

/** Decodes float16 data, which ONNX Runtime gives as bits, or as numbers if Node has Float16Array. */
function floatsOf(data: TensorData): Float32Array {
  return data instanceof Uint16Array ? fromHalves(data) : Float32Array.from(data as ArrayLike<number>);
}

/** Selects rows of the first dimension, in order; returns the tensor itself if that changes nothing. */
export function selectRows(tensor: Tensor, rows: readonly number[]): Tensor {
  const [count = 0, ...rest] = tensor.dims;
  if (rows.length === count && rows.every((row, i) => row === i)) return tensor;
  const size = count === 0 ? 0 : tensor.data.length / count;
  // The union cannot express that both arrays have one type.
  const data = tensor.data as Float32Array;
  const selected = new (data.constructor as Float32ArrayConstructor)(rows.length * size);
  rows.forEach((row, i) => selected.set(data.subarray(row * size, (row + 1) * size), i * size));
  return { type: tensor.type, dims: [rows.length, ...rest], data: selected as TensorData };
}

/** Concatenates tensors along the first dimension; returns a single one itself. */
export function joinRows(tensors: readonly Tensor[]): Tensor {
  const [first] = tensors as [Tensor];
  if (tensors.length === 1) return first;
  const data = new (first.data.constructor as Float32ArrayConstructor)(tensors.reduce((sum, each) => sum + each.data.length, 0)); // prettier-ignore
  let [rows, at] = [0, 0];
  for (const each of tensors) {
    data.set(each.data as Float32Array, at);
    at += each.data.length;
    rows += each.dims[0]!;
  }
  return { type: first.type, dims: [rows, ...first.dims.slice(1)], data: data as TensorData };
}

/**
 * Picks places of logits `[rows, positions, vocabulary]` as `[rows][places][vocabulary]`; views if they are float32.
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for a tensor of another shape or type
 */
export function logitsAt(logits: Tensor | undefined, places: readonly number[]): Float32Array[][] {
  if (logits?.dims.length !== 3 || !/^float(?:16|32)$/.test(logits.type)) {
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `A decoder must give logits of shape [batch, tokens, vocabulary], but this one gives ${logits ? `${logits.type} [${logits.dims.join(', ')}]` : 'none'}. Export the model with its head: for text generation, or for automatic speech recognition.`,
    );
  }
  const [rows, positions, vocabulary] = logits.dims as [number, number, number];
  const data: TensorData = logits.data;
  return Array.from({ length: rows }, (_, row) =>
    places.map((place) => {
      const start = (row * positions + place) * vocabulary;
      const own = data.subarray(start, start + vocabulary);
      return own instanceof Float32Array ? own : floatsOf(own);
    }),
  );
}

/** The adapter of one row. */
export function adapterOf(choice: AdapterChoice, row: number): RowAdapter {
  return isEach(choice) ? choice[row]! : choice;
}

/** The adapters of these rows; a single choice for all rows stays. */
export function adaptersOf(choice: AdapterChoice, rows: readonly number[]): AdapterChoice {
  return isEach(choice) ? rows.map((row) => choice[row]!) : choice;
}

/**
 * Checks that a choice per row has as many adapters as rows; `what` names the rows: `clips`.
 * @throws OnnxLoraError `INPUT_INVALID`
 */
export function requireEach(choice: AdapterChoice, rows: number, what: string): void {
  if (!isEach(choice) || choice.length === rows) return;
  throw new OnnxLoraError(
    'INPUT_INVALID',
    `${choice.length} adapters were given for ${rows} ${what}. Give one for each, or one for all.`,
  );
}

function isEach(choice: AdapterChoice): choice is readonly RowAdapter[] {
  return Array.isArray(choice);
}
