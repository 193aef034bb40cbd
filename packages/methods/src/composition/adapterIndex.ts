/** @file Which adapter an input is for: the one whose examples look most like it to the frozen base. */

import { float32, OnnxLoraError, type RowAdapter, type Tensor } from '@onnx-lora/sdk';
import { readSafetensors, writeSafetensors } from '@onnx-lora/sdk/data';
import { type Matrix, matrix } from '@onnx-lora/sdk/plugin';
import { forNearest, matrixOf } from '@onnx-lora/sdk/tasks';
import { clusters } from '../tuners/clusters.ts';

/** How {@link AdapterIndex.choose} chooses. */
export interface ChooseOptions {
  /** How many adapters act on an input: 1 by default, and of more a blend, whose ranks add up. */
  readonly topK?: number;
  /**
   * The weights of a blend are the softmax of −distance² ÷ temperature. Infinity, the default, gives all of them the same weight, and
   * few different blends, which a session keeps; with any other each row of a batch has a blend of its own.
   */
  readonly temperature?: number;
}

/** What `metadata` says of such a file. */
const FORMAT = 'onnx-lora adapter index 1';

/**
 * For each adapter the centres of what its examples are to the frozen base, by which inputs find the adapter that they are for:
 * nothing is trained, and an adapter more is centres more.
 *
 * The mean of examples as in Zhao et al., "LoraRetriever" (2024), arXiv:2402.09997; several centres of k-means as in Wistuba et al.,
 * "Continual Learning with Low Rank Adaptation" (2023), arXiv:2311.17601.
 *
 * @example
 * const features = (files: string[]) => imageEmbeddings(model, files, { output: 'before-head' });
 * const index = AdapterIndex.of({ turned: await features(turned), inverted: await features(inverted) });
 * const adapter = index.choose(await features(files));
 * const outputs = await session.run(feeds, { adapter });
 */
export class AdapterIndex {
  /** `[centres, width]` by the adapter's name. */
  readonly #centres: ReadonlyMap<string, Tensor>;
  /** All of them, one below the other. */
  readonly #all: Matrix;
  /** Whose centre each row is. */
  readonly #owners: readonly string[];

  private constructor(centres: ReadonlyMap<string, Tensor>) {
    this.#centres = centres;
    const width = [...centres.values()][0]!.dims[1]!;
    this.#owners = [...centres].flatMap(([name, { dims }]) => Array.from({ length: dims[0]! }, () => name));
    this.#all = matrix(this.#owners.length, width);
    let at = 0;
    for (const { data } of centres.values()) {
      this.#all.data.set(data as Float32Array, at);
      at += data.length;
    }
  }

  /**
   * An index of adapters.
   *
   * @param examples by the name of each adapter embeddings float32 `[examples, width]` of some inputs that it is for, by the base alone
   * @param centres of each adapter, by k-means; 1, the mean, by default
   * @throws OnnxLoraError `INPUT_INVALID` for embeddings that are none or of different widths, and for fewer examples than centres
   */
  static of(
    examples: Readonly<Record<string, Tensor>>,
    { centres = 1 }: { readonly centres?: number } = {},
  ): AdapterIndex {
    if (!(Number.isSafeInteger(centres) && centres > 0))
      throw new OnnxLoraError('CONFIG_INVALID', `centres of AdapterIndex must be a whole number of at least 1, but it is ${centres}.`); // prettier-ignore
    const given = new Map(Object.entries(examples));
    const problem = problemOf(given, centres);
    if (problem !== undefined) throw new OnnxLoraError('INPUT_INVALID', `An index cannot be made: ${problem}. Give embeddings of each adapter's examples by one model: imageEmbeddings, …`); // prettier-ignore
    return new AdapterIndex(new Map([...given].map(([name, tensor]) => [name, means(matrixOf(tensor), centres)])));
  }

  /**
   * Reads an index that {@link AdapterIndex.save} has written.
   *
   * @throws OnnxLoraError `FILE_NOT_FOUND`, `FILE_INVALID`
   */
  static async load(file: string): Promise<AdapterIndex> {
    const { tensors, metadata } = await readSafetensors(file);
    const problem = metadata['format'] === FORMAT ? problemOf(tensors, 1) : `its metadata do not say "format": "${FORMAT}"`; // prettier-ignore
    if (problem !== undefined) throw new OnnxLoraError('FILE_INVALID', `"${file}" is no index of adapters: ${problem}. Save it again with AdapterIndex.`); // prettier-ignore
    return new AdapterIndex(tensors);
  }

  /** Names of the adapters. */
  get names(): readonly string[] {
    return [...this.#centres.keys()];
  }

  /**
   * Writes one safetensors file: a tensor float32 `[centres, width]` for each adapter, under its name.
   *
   * @throws OnnxLoraError `FILE_INVALID` when writing fails
   */
  async save(file: string): Promise<void> {
    await writeSafetensors(file, this.#centres, { format: FORMAT });
  }

  /**
   * The adapter of each row, for `session.run`: a name, or with `topK` a blend of the nearest.
   *
   * @param embeddings float32 `[rows, width]` of inputs, made as those of the examples were
   * @throws OnnxLoraError `INPUT_INVALID` for embeddings of another width, `CONFIG_INVALID` for options out of their range
   */
  choose(embeddings: Tensor, { topK = 1, temperature = Infinity }: ChooseOptions = {}): Exclude<RowAdapter, null>[] {
    const { rows, columns, data } = this.#all;
    if (!(Number.isSafeInteger(topK) && topK > 0)) throw new OnnxLoraError('CONFIG_INVALID', `topK must be a whole number of at least 1, but it is ${topK}.`); // prettier-ignore
    if (!(temperature > 0)) throw new OnnxLoraError('CONFIG_INVALID', `temperature must be a number above 0, but it is ${temperature}.`); // prettier-ignore
    const problem = problemOf(new Map([['inputs', embeddings]]), 0);
    const width = embeddings.dims[1];
    if (problem !== undefined || width !== columns)
      throw new OnnxLoraError('INPUT_INVALID', `The index has centres of ${columns} features, and ${problem ?? `the inputs have ${width}`}. Embed inputs as the examples were embedded.`); // prettier-ignore
    const squares = Array.from({ length: rows }, (_, row) => data.subarray(row * columns, (row + 1) * columns).reduce((sum, each) => sum + each ** 2, 0)); // prettier-ignore
    const chosen: Exclude<RowAdapter, null>[] = [];
    forNearest({ features: this.#all }, matrixOf(embeddings), rows, (near) => {
      // −distance², but for what is the same for all centres.
      const scores = new Map<string, number>();
      near.rows.forEach((row, i) => {
        const name = this.#owners[row]!;
        if (scores.size < topK && !scores.has(name)) scores.set(name, 2 * near.products[i]! - squares[row]!);
      });
      chosen.push(topK === 1 ? [...scores.keys()][0]! : softmax(scores, temperature));
    });
    return chosen;
  }
}

/** What is wrong with embeddings or centres, of which each adapter has at least so many. */
function problemOf(all: ReadonlyMap<string, Tensor>, least: number): string | undefined {
  const width = [...all.values()][0]?.dims[1];
  if (all.size === 0) return 'it names no adapter';
  for (const [name, { type, dims, data }] of all) {
    if (type !== 'float32' || dims.length !== 2 || dims[1] === 0) return `"${name}" is ${type} [${dims.join(', ')}], not float32 [examples, width]`; // prettier-ignore
    if (dims[1] !== width) return `"${name}" has ${dims[1]} features, and another has ${width}`;
    if (dims[0]! < least) return `"${name}" has ${dims[0]} rows, less than ${least}`;
    if (!(data as Float32Array).every(Number.isFinite)) return `"${name}" has numbers that are not finite`;
  }
  return undefined;
}

/** The means of clusters of the rows. */
function means(rows: Matrix, count: number): Tensor {
  const labels = count === 1 ? Array.from({ length: rows.rows }, () => 0) : clusters(rows, count);
  const sums = matrix(count, rows.columns);
  const sizes = Array.from({ length: count }, (_, cluster) => labels.filter((each) => each === cluster).length);
  rows.data.forEach((value, at) => {
    const cluster = labels[Math.floor(at / rows.columns)]!;
    sums.data[cluster * rows.columns + (at % rows.columns)]! += value / sizes[cluster]!;
  });
  return float32(Float32Array.from(sums.data), [count, rows.columns]);
}

function softmax(scores: ReadonlyMap<string, number>, temperature: number): Record<string, number> {
  const most = Math.max(...scores.values());
  const powers = [...scores].map(([name, score]) => [name, Math.exp((score - most) / temperature)] as const);
  const total = powers.reduce((sum, [, power]) => sum + power, 0);
  return Object.fromEntries(powers.map(([name, power]) => [name, power / total]));
}
