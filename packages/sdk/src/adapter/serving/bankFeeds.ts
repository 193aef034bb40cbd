/** @file Adapters stacked into the banks that an injected graph is fed, from which each row of a batch takes its own. */

import { OnnxLoraError } from '../../errors.ts';
import type { AdapterInput, ModuleTuning } from '../../lora/tunings/moduleTuning.ts';
import { float32, type Tensor } from '../../runtime/tensor.ts';
import type { AdapterFeeds } from './feeds.ts';

/** The bank of one adapter: the same values with one dimension more. */
export function bankOfOne(feeds: AdapterFeeds, inputs: readonly AdapterInput[]): AdapterFeeds {
  const perRow = new Set(inputs.filter((input) => input.perRow).map(({ name }) => name));
  return new Map(
    [...feeds].map(([name, tensor]) => [
      name,
      perRow.has(name) ? { ...tensor, dims: [1, ...rowDims(tensor)] } : tensor,
    ]),
  );
}

/**
 * Stacks adapters: their A's become `[n, in, r]` with the largest rank, smaller ones padded with zeros, which changes
 * nothing.
 *
 * @param members feeds of the adapters, with a tensor for each input
 * @throws OnnxLoraError `INPUT_INVALID` for heads of different sizes; {@link RowsDiffer} when they differ in what only a whole
 *   batch can exchange: some trained parameters, adapters of convolutions and embeddings, and those of other tuners
 */
export function bankFeeds(members: readonly AdapterFeeds[], inputs: readonly AdapterInput[]): AdapterFeeds {
  return new Map(
    inputs.map((input) => {
      const tensors = members.map((feeds) => feeds.get(input.name)!);
      const [first] = tensors as [Tensor, ...Tensor[]];
      if (input.tuning.isOpen && tensors.some(({ dims }) => dims.join() !== first.dims.join()))
        throw cannotMix(input.tuning);
      if (input.perRow) return [input.name, stacked(tensors)];
      if (tensors.every((tensor) => tensor === first || same(tensor, first))) return [input.name, first];
      throw new RowsDiffer(input.tuning.path);
    }),
  );
}

/** How a tensor lies in its bank: what has one number per output broadcasts over positions there. */
function rowDims({ dims }: Tensor): readonly [rows: number, columns: number] {
  return dims.length === 1 ? [1, dims[0]!] : (dims as readonly [number, number]);
}

/** Matrices padded with zeros to the largest of them: `[n, rows, columns]`. */
function stacked(tensors: readonly Tensor[]): Tensor {
  const shapes = tensors.map(rowDims);
  const rows = Math.max(...shapes.map(([each]) => each));
  const columns = Math.max(...shapes.map(([, each]) => each));
  const data = new Float32Array(tensors.length * rows * columns);
  tensors.forEach((tensor, i) => {
    const source = tensor.data as Float32Array;
    const [height, width] = shapes[i]!;
    const start = i * rows * columns;
    if (width === columns) data.set(source, start);
    else
      for (let k = 0; k < height; k++)
        for (let j = 0; j < width; j++) data[start + k * columns + j] = source[k * width + j]!;
  });
  return float32(data, [tensors.length, rows, columns]);
}

/** That one run cannot have a batch's rows, since a module differs between them that is the same for all rows of a run. */
export class RowsDiffer extends Error {
  readonly module: string;

  constructor(module: string) {
    super(`Rows differ in "${module}".`);
    this.module = module;
  }
}

function cannotMix({ path }: ModuleTuning): OnnxLoraError {
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
