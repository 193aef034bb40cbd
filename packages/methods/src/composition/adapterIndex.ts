/** @file Picks an input's adapter: the one whose examples are nearest in the frozen base's features. */

import { type AdapterBlend, float32, OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import { readSafetensors, writeSafetensors } from '@onnx-lora/sdk/data';
import { addScaled, type Matrix, matmul, matrix, solvePositive, transpose } from '@onnx-lora/sdk/plugin';
import { matrixOf } from '@onnx-lora/sdk/tasks';

/** Options of {@link AdapterIndex.choose}. */
export interface ChooseOptions {
  /** Adapters per input; 1 by default. More give a blend, whose ranks add up. */
  readonly topK?: number;
  /** Softmax temperature of blend weights. Infinity, the default: equal ones, so few blends, which are cached. */
  readonly temperature?: number;
}

const FORMAT = 'onnx-lora adapter index 1';

/**
 * Finds the adapter for an input by features of the frozen base: the nearest mean of the adapters' examples, in the
 * metric of the covariance within adapters, so that variation within a task (which digit an image shows) counts little.
 * Nothing is trained.
 *
 * Retrieval by mean features: Zhao et al., "LoraRetriever" (2024), arXiv:2402.09997. Distance of linear discriminant
 * analysis with a shrunk covariance: Goswami et al., "FeCAM" (2023), arXiv:2309.14062.
 * @example
 * const features = (files: string[]) => imageEmbeddings(model, files, { output: 'before-head' });
 * const index = AdapterIndex.of({ turned: await features(turned), inverted: await features(inverted) });
 * const adapter = index.choose(await features(files));
 * const outputs = await session.run(feeds, { adapter });
 */
export class AdapterIndex {
  /** The adapters' names, in the order of the rows. */
  readonly names: readonly string[];
  /** `[adapters, width]`: Σ⁻¹·μ per adapter; Σ is the covariance within adapters. */
  readonly #weights: Tensor;
  /** `[adapters]`: −½·μᵀ·Σ⁻¹·μ. */
  readonly #biases: Tensor;

  private constructor(names: readonly string[], weights: Tensor, biases: Tensor) {
    this.names = names;
    this.#weights = weights;
    this.#biases = biases;
  }

  /**
   * Builds an index.
   * @param examples float32 `[examples, width]` embeddings by the base alone, per adapter; about a hundred rows are
   *   enough
   * @param shrinkage share of the covariance that its mean variance replaces, above 0 to 1 (Euclidean); 0.1 by default
   * @throws OnnxLoraError `INPUT_INVALID` for missing embeddings or different widths; `CONFIG_INVALID`
   */
  static of(
    examples: Readonly<Record<string, Tensor>>,
    { shrinkage = 0.1 }: { readonly shrinkage?: number } = {},
  ): AdapterIndex {
    if (!(shrinkage > 0 && shrinkage <= 1)) throw new OnnxLoraError('CONFIG_INVALID', `shrinkage must be a number above 0 and at most 1, but it is ${shrinkage}.`); // prettier-ignore
    const names = Object.keys(examples);
    const width = examples[names[0] ?? '']?.dims[1];
    const problem = names.length === 0 ? 'it names no adapter' : names.map((name) => problemOf(name, examples[name]!, width)).find((each) => each !== undefined); // prettier-ignore
    if (problem !== undefined) throw new OnnxLoraError('INPUT_INVALID', `An index cannot be made: ${problem}. Give embeddings of some examples of each adapter, all by one model.`); // prettier-ignore
    const rows = names.map((name) => matrixOf(examples[name]!));
    const means = matrix(names.length, width!, rows.flatMap((each) => [...meanOf(each)])); // prettier-ignore
    const weights = transpose(solvePositive(shrunk(rows, shrinkage), transpose(means)));
    const biases = new Float32Array(names.length);
    weights.data.forEach((value, at) => (biases[Math.floor(at / width!)]! -= (value * means.data[at]!) / 2));
    return new AdapterIndex(names, float32(Float32Array.from(weights.data), [names.length, width!]), float32(biases, [names.length])); // prettier-ignore
  }

  /** Reads an index from {@link AdapterIndex.save}. @throws OnnxLoraError `FILE_NOT_FOUND`, `FILE_INVALID` */
  static async load(file: string): Promise<AdapterIndex> {
    const { tensors, metadata } = await readSafetensors(file);
    const [weights, biases] = [tensors.get('weights'), tensors.get('biases')];
    const names = namesIn(metadata['adapters']);
    const fits = names && weights?.dims.length === 2 && weights.dims[0] === names.length && weights.dims[1]! > 0 && biases?.dims.join() === `${names.length}`; // prettier-ignore
    const isFloat = [weights, biases].every((each) => each?.type === 'float32' && (each.data as Float32Array).every(Number.isFinite)); // prettier-ignore
    if (metadata['format'] === FORMAT && fits && isFloat) return new AdapterIndex(names, weights, biases);
    const found = [...tensors].map(([name, { type, dims }]) => `${name} ${type} [${dims.join(', ')}]`).join(', ');
    throw new OnnxLoraError(
      'FILE_INVALID',
      `"${file}" is no index of adapters: expected are the metadata "format": "${FORMAT}" and "adapters" with their names, and finite numbers, weights float32 [adapters, width] and biases float32 [adapters]; found ${JSON.stringify(metadata).slice(0, 500)} and ${found || 'no tensors'}. Make it again: AdapterIndex.of.`,
    );
  }

  /** Writes the index as one safetensors file. @throws OnnxLoraError `FILE_INVALID` when writing fails */
  async save(file: string): Promise<void> {
    const tensors = new Map([['weights', this.#weights], ['biases', this.#biases]]); // prettier-ignore
    await writeSafetensors(file, tensors, { format: FORMAT, adapters: JSON.stringify(this.names) });
  }

  /**
   * The adapter's name per input, as `session.run` takes them for the rows of a batch.
   * @param embeddings float32 `[inputs, width]`, made as the examples' were
   * @throws OnnxLoraError `INPUT_INVALID` for embeddings of another width; `CONFIG_INVALID` for options out of range
   */
  choose(embeddings: Tensor): string[];
  /** With options: a name, or with `topK` a blend of the best, per input. */
  choose(embeddings: Tensor, options: ChooseOptions): (string | AdapterBlend)[];
  choose(embeddings: Tensor, { topK = 1, temperature = Infinity }: ChooseOptions = {}): (string | AdapterBlend)[] {
    if (!(Number.isSafeInteger(topK) && topK > 0)) throw new OnnxLoraError('CONFIG_INVALID', `topK must be a whole number of at least 1, but it is ${topK}.`); // prettier-ignore
    if (!(temperature > 0)) throw new OnnxLoraError('CONFIG_INVALID', `temperature must be a number above 0, but it is ${temperature}.`); // prettier-ignore
    const problem = problemOf('inputs', embeddings, this.#weights.dims[1]);
    if (problem !== undefined) throw new OnnxLoraError('INPUT_INVALID', `The index does not know such features: ${problem}. Embed inputs as the examples were embedded.`); // prettier-ignore
    const { rows, columns, data } = matmul(matrixOf(embeddings), matrixOf(this.#weights), { transposeB: true });
    return Array.from({ length: rows }, (_, row) => {
      const best = this.names
        .map((name, i) => ({ name, score: data[row * columns + i]! + Number(this.#biases.data[i]) }))
        .sort((a, b) => b.score - a.score)
        .slice(0, topK);
      return topK === 1 ? best[0]!.name : softmax(best, temperature);
    });
  }
}

interface Scored {
  readonly name: string;
  readonly score: number;
}

function problemOf(name: string, { type, dims, data }: Tensor, width: number | undefined): string | undefined {
  if (type !== 'float32' || dims.length !== 2 || data.length === 0) return `"${name}" is ${type} [${dims.join(', ')}], not float32 [rows, width]`; // prettier-ignore
  if (dims[1] !== width) return `"${name}" has ${dims[1]} features, and ${width} are expected`;
  return (data as Float32Array).every(Number.isFinite) ? undefined : `"${name}" has numbers that are not finite`;
}

function namesIn(text: string | undefined): string[] | undefined {
  try {
    const names: unknown = JSON.parse(text ?? '');
    return Array.isArray(names) && names.length > 0 && names.every((each) => typeof each === 'string') ? names : undefined; // prettier-ignore
  } catch {
    return undefined;
  }
}

function meanOf({ rows, columns, data }: Matrix): Float64Array {
  const mean = new Float64Array(columns);
  data.forEach((value, at) => (mean[at % columns]! += value / rows));
  return mean;
}

/** Mean of the adapters' covariances, `[width, width]`, shrunk towards a multiple of the identity. */
function shrunk(adapters: readonly Matrix[], shrinkage: number): Matrix {
  const width = adapters[0]!.columns;
  let mean = matrix(width, width);
  for (const { rows, columns, data } of adapters) {
    const own = meanOf({ rows, columns, data });
    const less = matrix(rows, columns, data.map((value, at) => value - own[at % columns]!)); // prettier-ignore
    mean = addScaled(mean, matmul(less, less, { transposeA: true }), 1 / (rows * adapters.length));
  }
  let trace = 0;
  for (let i = 0; i < width; i++) trace += mean.data[i * (width + 1)]!;
  const left = { ...mean, data: mean.data.map((value) => (1 - shrinkage) * value) };
  // Without variance, as with one example per adapter, the distance is Euclidean.
  for (let i = 0; i < width; i++) left.data[i * (width + 1)]! += shrinkage * (trace > 0 ? trace / width : 1);
  return left;
}

function softmax(best: readonly Scored[], temperature: number): Record<string, number> {
  const powers = best.map(({ name, score }) => [name, Math.exp((score - best[0]!.score) / temperature)] as const);
  const total = powers.reduce((sum, [, power]) => sum + power, 0);
  return Object.fromEntries(powers.map(([name, power]) => [name, power / total]));
}
