/** @file Checks an adapter: saving and loading, merging, the base without it, and mixed batches. */

import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import {
  Adapter,
  type AdapterRunOptions,
  loadAdapter,
  merge,
  unmerge,
  type Model,
  openModel,
  OrtRuntime,
  type Feeds,
  float32,
  type Tensor,
} from '@onnx-lora/sdk';
import { isForTraining, PEFT_PREFIX } from '@onnx-lora/sdk/core';
import { floats } from '@onnx-lora/sdk/plugin';
import { compareTensors, relativeRms, type Tolerance, tolerances } from '../conformance/compare.ts';
import { inScratch, released } from '../scratch.ts';
import { randomFeeds } from '../random.ts';

/** Names of shared tensors: they belong to no module, but perhaps to a group. */
const SHARED = /^base_model\.[^.]+(\..+)?$/;

/** Options of {@link checkAdapterRoundTrip}. */
export interface RoundTripOptions {
  /** One batch, with rows as its first dimension; random numbers by default. */
  readonly feeds?: Feeds;
  /** False for models whose rows depend on each other or cannot be followed, as behind a Loop; true by default. */
  readonly rows?: boolean;
}

/** Difference of sums in single precision, over a whole model. */
const SINGLE = 1e-5;

/** Adapters may amplify rounding more than the base: allowed multiple of the base's change between batch sizes. */
const AMPLIFIED = 4;

type Outputs = Readonly<Record<string, Tensor>>;

const same: Tolerance = tolerances.output;

/**
 * Checks an adapter on a model:
 *
 * - saved and loaded, it has the same config, bits and PEFT names, and all of it has a place in the model;
 * - it changes the outputs, and a session with it computes the base's outputs when it is not chosen;
 * - merged into the weights it computes the same, to float32, and unmerging restores the base;
 * - rows of a batch may use different adapters, each as if it were alone.
 *
 * Unmerging is not checked for methods that replace weights (DoRA, saved modules, some tuners of plugins).
 * @example
 * assert.deepEqual(await checkAdapterRoundTrip(model, await randomAdapter(model, { lora: { r: 4 } })), []);
 * @returns the problems found, if any
 * @throws OnnxLoraError `ADAPTER_MISMATCH` for an adapter of another model; `INPUT_INVALID` for feeds that do not fit
 */
export async function checkAdapterRoundTrip(
  model: Model,
  adapter: Adapter,
  { feeds = randomFeeds(model), rows = true }: RoundTripOptions = {},
): Promise<string[]> {
  return inScratch(async (scratch) => {
    const base = await run(model, feeds, {});
    const adapted = await run(model, feeds, { adapter }, { adapter: 'adapter' });
    return [
      ...(await fileProblems(model, adapter, path.join(scratch, 'adapter'))),
      ...(differences(adapted, base, same).length === 0 ? ['the adapter changes no output: give it other values'] : []),
      ...differences(await run(model, feeds, { adapter }), base, same).map((each) => `without the adapter, ${each}`),
      ...(await mergeProblems(model, adapter, { feeds, base, adapted, scratch })),
      ...(rows ? await checkAdapterRows(model, adapter, { feeds }) : []),
    ];
  });
}

async function run(
  model: Model,
  feeds: Feeds,
  adapters: Readonly<Record<string, Adapter>>,
  options: AdapterRunOptions = {},
): Promise<Outputs> {
  const session = await model.session({ adapters, threads: 1, provider: 'cpu', worker: false });
  return released(session, () => session.run(feeds, options));
}

async function fileProblems(model: Model, adapter: Adapter, folder: string): Promise<string[]> {
  await adapter.save(folder);
  const loaded = await loadAdapter(folder);
  const { unused } = await model.place(loaded);
  const names = [...adapter.tensors.keys()];
  return [
    ...configProblems(adapter.config, loaded.config),
    ...names.flatMap((name) => {
      const [saved, read] = [adapter.tensors.get(name)!, loaded.tensors.get(name)];
      return isDeepStrictEqual(read, saved) ? [] : [`${name} was loaded with other bits`];
    }),
    ...[...loaded.tensors.keys()].filter((name) => !adapter.tensors.has(name)).map((name) => `${name} was not saved`),
    ...names.filter((name) => !name.startsWith(PEFT_PREFIX) && !SHARED.test(name)).map((name) => `${name} is no name of PEFT's: it must begin with ${PEFT_PREFIX}`), // prettier-ignore
    ...unused.filter((name) => !isForTraining(name)).map((name) => `${name} has no place in "${model.name}"`),
  ];
}

/** Compares configs; files also list PEFT's defaults. */
function configProblems(
  { extra, ...config }: Adapter['config'],
  { extra: more, ...loaded }: Adapter['config'],
): string[] {
  const changed = (from: object, to: object): string[] =>
    Object.entries(from)
      .filter(([key, value]) => !isDeepStrictEqual(value, (to as Record<string, unknown>)[key]))
      .map(([key]) => `${key} of the config was loaded with another value`);
  return [...changed(config, loaded), ...changed(extra, more)];
}

async function mergeProblems(
  model: Model,
  adapter: Adapter,
  { feeds, base, adapted, scratch }: { feeds: Feeds; base: Outputs; adapted: Outputs; scratch: string },
): Promise<string[]> {
  const tunings = (await model.place(adapter)).tunings.map(({ tuning }) => tuning);
  if (tunings.some(({ noMerge }) => noMerge)) return [];
  const [merged, back] = ['merged.onnx', 'back.onnx'].map((name) => path.join(scratch, name)) as [string, string];
  const { rounding } = await merge(model, adapter, merged);
  // Errors of layers add up like noise, and later layers may amplify them.
  const rounded = 4 * Math.hypot(...rounding.map(({ relativeError }) => relativeError));
  const tolerance = rounding.length === 0 ? same : { relativeRms: Math.max(rounded, SINGLE) };
  const open = (file: string): Promise<Model> =>
    openModel(file, { runtime: new OrtRuntime(), plugins: model.registry });
  const problems = differences(await run(await open(merged), feeds, {}), adapted, tolerance);
  if (tunings.some(({ noUnmerge }) => noUnmerge !== undefined)) return problems.map((each) => `merged, ${each}`);
  await unmerge(await open(merged), adapter, back);
  // Weights that the adapter makes larger were rounded as larger ones.
  const growth = 1 + Math.max(...Object.keys(base).map((name) => relativeRms(adapted[name]!, base[name]!)));
  const again = 'relativeRms' in tolerance ? { relativeRms: growth * tolerance.relativeRms } : tolerance;
  const restored = differences(await run(await open(back), feeds, {}), base, rounding.length === 0 ? tolerance : again);
  return [...problems.map((each) => `merged, ${each}`), ...restored.map((each) => `merged and taken out, ${each}`)];
}

/**
 * Checks that rows of a batch may use different adapters: in a batch of rows with the adapter, with its opposite, and
 * without, each row is as in a uniform batch. A batch of one row passes.
 *
 * Layers with one kernel for all rows run once per adapter, so that batches are smaller and sums are in another order.
 * Some outputs, such as angles, amplify that: a row may differ by a small multiple of the base's own difference in a
 * batch of one.
 * @returns the problems found, if any
 * @throws OnnxLoraError `ADAPTER_MISMATCH` for an adapter of another model; `INPUT_INVALID` for feeds that do not fit,
 *   and for a graph that cannot be followed row by row
 */
export async function checkAdapterRows(
  model: Model,
  adapter: Adapter,
  { feeds = randomFeeds(model) }: Pick<RoundTripOptions, 'feeds'> = {},
): Promise<string[]> {
  const rows = Math.min(...Object.values(feeds).map(({ dims }) => dims[0] ?? 0));
  if (rows < 2) return [];
  const other = opposite(adapter);
  const base = await run(model, feeds, {});
  const adapted = await run(model, feeds, { adapter }, { adapter: 'adapter' });
  const alone = await run(model, feeds, { other }, { adapter: 'other' });
  const choice = Array.from({ length: rows }, (_, row) => ['adapter', 'other', null][row % 3] ?? null);
  const fetches = Object.keys(base).filter((name) => base[name]!.dims[0] === rows);
  const mixed = await run(model, feeds, { adapter, other }, { adapter: choice, fetches });
  const wrong = (tolerances: ReadonlyMap<string, Tolerance>): string[] =>
    Object.entries(mixed).flatMap(([name, found]) =>
      choice.flatMap((chosen, row) => {
        const expected = (chosen === 'adapter' ? adapted : chosen === 'other' ? alone : base)[name]!;
        const { problem } = compareTensors(name, rowOf(found, row), rowOf(expected, row), tolerances.get(name) ?? same);
        return problem === undefined ? [] : [`row ${row} of a mixed batch: ${problem}`];
      }),
    );
  const problems = wrong(new Map());
  const sensitive = problems.length > 0 && (await sensitivity(model, feeds, base, rows));
  return sensitive && wrong(sensitive).length === 0 ? [] : problems;
}

/** Tolerance of rows per output, from the base in a batch of one; undefined if the model takes no such batch. */
async function sensitivity(
  model: Model,
  feeds: Feeds,
  base: Outputs,
  rows: number,
): Promise<ReadonlyMap<string, Tolerance> | undefined> {
  const changes = new Map<string, number>();
  for (let row = 0; row < rows; row++) {
    const own = Object.entries(feeds).map(([name, tensor]): [string, Tensor] => {
      const { type, dims, data } = rowOf(tensor, row);
      return [name, tensor.dims[0] === rows ? { type, dims: [1, ...dims], data } : tensor];
    });
    let found: Outputs;
    try {
      found = await run(model, Object.fromEntries(own), {});
    } catch {
      return undefined; // The file has a size for its batch.
    }
    for (const [name, tensor] of Object.entries(found)) {
      if (tensor.dims[0] !== 1 || base[name]!.dims[0] !== rows) continue;
      const change = relativeRms(rowOf(tensor, 0), rowOf(base[name]!, row));
      changes.set(name, Math.max(changes.get(name) ?? 0, change));
    }
  }
  return new Map([...changes].map(([name, change]) => [name, { relativeRms: AMPLIFIED * change }]));
}

/** An adapter with the opposite delta, or with smaller values where there is no delta. */
function opposite({ config, tensors, baseDigest, notes }: Adapter): Adapter {
  const isB = (name: string): boolean => /lora(_embedding)?_B/.test(name);
  const by = [...tensors.keys()].some(isB) ? (name: string) => (isB(name) ? -1 : 1) : () => 0.75;
  const turned = [...tensors].map(([name, tensor]): [string, Tensor] => {
    if (tensor.type.includes('int')) return [name, tensor];
    return [
      name,
      float32(
        floats(tensor).map((each) => by(name) * each),
        tensor.dims,
      ),
    ];
  });
  return new Adapter(config, new Map(turned), baseDigest, notes);
}

function rowOf({ type, dims, data }: Tensor, row: number): Tensor {
  const size = data.length / dims[0]!;
  return { type, dims: dims.slice(1), data: data.slice(row * size, (row + 1) * size) };
}

function differences(found: Outputs, expected: Outputs, tolerance: Tolerance): string[] {
  return Object.entries(expected).flatMap(([name, tensor]) => {
    const { problem } = compareTensors(name, found[name], tensor, tolerance);
    return problem === undefined ? [] : [problem];
  });
}
