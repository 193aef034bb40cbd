/** @file Stacks adapters into the banks that each row of a batch selects from. */

import { OnnxLoraError } from '../../errors.ts';
import type { AdapterInput, ModuleAdapter } from '../../lora/methods/moduleAdapter.ts';
import { float32, sizeOf, type Tensor } from '../../runtime/tensor.ts';
import type { AdapterFeeds } from './feeds.ts';

/** The bank of one adapter: its tensors with a leading dimension. */
export function bankOfOne(feeds: AdapterFeeds, inputs: readonly AdapterInput[]): AdapterFeeds {
  const perRow = new Set(inputs.filter((input) => input.perRow).map(({ name }) => name));
  return new Map(
    [...feeds].map(([name, tensor]) => [
      name,
      perRow.has(name) ? { ...tensor, dims: [1, ...rowDims(tensor)] } : tensor,
    ]),
  );
}

/** Alignment of stacked tensors: a cache line. */
const LINE = 64;

export type TakeMemory = (bytes: number) => ArrayBuffer;

/**
 * Stacks adapters: the A's become `[n, in, r]` of the largest rank, zero-padded without effect.
 * @param members feeds of the adapters, with a tensor for each input
 * @param take allocates uninitialised memory for all stacked tensors
 * @throws OnnxLoraError `INPUT_INVALID` for heads of different sizes; {@link RowsDiffer} for differences in inputs
 *   without a bank: some trained parameters, convolutions, embeddings, and other tuners
 */
export function bankFeeds(
  members: readonly AdapterFeeds[],
  inputs: readonly AdapterInput[],
  take: TakeMemory,
): AdapterFeeds {
  const feeds = new Map<string, Tensor>();
  const stacks: { readonly name: string; readonly tensors: readonly Tensor[]; readonly dims: StackDims; readonly at: number }[] = []; // prettier-ignore
  let bytes = 0;
  for (const { name, tuning, perRow } of inputs) {
    const tensors = members.map((each) => each.get(name)!);
    const [first] = tensors as [Tensor, ...Tensor[]];
    if (tuning.isOpen && tensors.some(({ dims }) => dims.join() !== first.dims.join())) throw cannotMix(tuning);
    if (perRow) {
      const dims = stackDims(tensors);
      stacks.push({ name, tensors, dims, at: bytes });
      bytes += Math.ceil((4 * sizeOf(dims)) / LINE) * LINE;
    } else if (tensors.every((tensor) => tensor === first || same(tensor, first))) feeds.set(name, first);
    else throw new RowsDiffer(tuning.path);
  }
  const memory = take(bytes);
  for (const { name, tensors, dims, at } of stacks) {
    const data = new Float32Array(memory, at, sizeOf(dims));
    stack(tensors, dims, data);
    feeds.set(name, float32(data, dims));
  }
  return feeds;
}

/** Shape in a bank: a vector per output broadcasts over positions. */
function rowDims({ dims }: Tensor): readonly [rows: number, columns: number] {
  return dims.length === 1 ? [1, dims[0]!] : (dims as readonly [number, number]);
}

type StackDims = readonly [count: number, rows: number, columns: number];

/** The count of matrices, and the largest of each dimension. */
function stackDims(tensors: readonly Tensor[]): StackDims {
  const shapes = tensors.map(rowDims);
  return [tensors.length, Math.max(...shapes.map(([rows]) => rows)), Math.max(...shapes.map(([, columns]) => columns))];
}

function stack(tensors: readonly Tensor[], [, rows, columns]: StackDims, data: Float32Array): void {
  tensors.forEach((tensor, i) => {
    const source = tensor.data as Float32Array;
    const [height, width] = rowDims(tensor);
    const start = i * rows * columns;
    if (width === columns) data.fill(0, start + source.length, start + rows * columns).set(source, start);
    else {
      data.fill(0, start, start + rows * columns);
      for (let k = 0; k < height; k++)
        for (let j = 0; j < width; j++) data[start + k * columns + j] = source[k * width + j]!;
    }
  });
}

/** Rows of a batch differ in a module that one run cannot vary by row. */
export class RowsDiffer extends Error {
  readonly module: string;

  constructor(module: string) {
    super(`Rows differ in "${module}".`);
    this.module = module;
  }
}

function cannotMix({ path }: ModuleAdapter): OnnxLoraError {
  return new OnnxLoraError(
    'INPUT_INVALID',
    `The adapters of this batch have heads "${path}" of their own, with different numbers of outputs, which cannot be mixed in one batch. Run one batch per adapter, with one name for all of its rows.`,
  );
}

function same(a: Tensor, b: Tensor): boolean {
  return (
    a.data.length === b.data.length &&
    a.dims.join() === b.dims.join() &&
    a.data.every((value, i) => value === b.data[i])
  );
}
