/** @file Saving and restoring a trainer's state as tensors and JSON. */

import { z } from 'zod';
import { OnnxLoraError } from '../errors.ts';
import { arrayOf, type Tensor, tensor } from '../runtime/tensor.ts';
import type { MaskDrawer } from './dropout.ts';
import type { LossScale } from './step/lossScale.ts';
import { type OptimizerMemory, savedFloats } from './optimizers/memory.ts';
import type { ParameterSet } from './parameters.ts';
import type { Transformation } from './transformation.ts';
import { slices } from './slices.ts';

/** Everything that determines a trainer's further steps except batches and learning rate. */
export interface TrainerState {
  /** Tensors by name: `parameter/…`, `optimizer/…`, and a transformation's: `ema/…`. */
  readonly tensors: ReadonlyMap<string, Tensor>;
  /** The rest as JSON; validated when loaded, since it may come from a file. */
  readonly json: unknown;
}

/** The stateful parts of a trainer. */
export interface TrainerParts {
  readonly parameters: ParameterSet;
  readonly memory: OptimizerMemory;
  readonly transformations: readonly Transformation[];
  readonly lossScale: LossScale | undefined;
  readonly masks: MaskDrawer;
}

const count = z.number().int().min(0);
const schema = z
  .object({
    optimizer: z.string(),
    steps: count,
    lossScale: z.object({ value: z.number().positive(), steps: count }).optional(),
    /** Number of runs with dropout. */
    dropout: count.optional(),
  })
  // Transformations with a state, by name.
  .catchall(z.object({ steps: count }));
const known = new Set(['optimizer', 'steps', 'lossScale', 'dropout']);

/** Writes the state, with copies of all tensors, in slices. */
export function* writeTrainerState({
  parameters,
  memory,
  transformations,
  lossScale,
  masks,
  steps,
}: TrainerParts & { readonly steps: number }): Generator<void, TrainerState> {
  const kept = [...parameters.all, ...parameters.states];
  const values = kept.map(({ input, value, dims }) => [input.name, tensor('float32', value, dims)] as const);
  const states = transformations.flatMap((each) => (each.state ? [[each.name, each.state()] as const] : []));
  const json = {
    optimizer: memory.optimizer.name,
    steps,
    ...Object.fromEntries(states.map(([name, state]) => [name, { steps: state.steps }])),
    ...(lossScale ? { lossScale: lossScale.state() } : {}),
    ...(masks.runs > 0 ? { dropout: masks.runs } : {}),
  };
  const tensors = new Map<string, Tensor>();
  const all = [prefixed('parameter', values), prefixed('optimizer', memory.state()), ...states.map(([name, state]) => prefixed(name, state.tensors))]; // prettier-ignore
  for (const part of all) for (const [name, each] of part) tensors.set(name, yield* copyOf(each));
  return { tensors, json };
}

/** Elements copied between two looks at the clock. */
const COPIED_AT_ONCE = 1 << 19;

function* copyOf({ type, dims, data }: Tensor): Generator<void, Tensor> {
  const copy = new (arrayOf(type))(data.length);
  // One constructor on both sides, which the union of typed arrays cannot express.
  const [from, to] = [data as Float32Array, copy as Float32Array];
  yield* slices(data.length, (start, end) => to.set(from.subarray(start, end), start), COPIED_AT_ONCE);
  return { type, dims, data: copy };
}

/** Restores a state and returns its number of steps. @throws OnnxLoraError `FILE_INVALID` if damaged or unfitting */
export function readTrainerState(
  { tensors, json }: TrainerState,
  { parameters, memory, transformations, lossScale, masks }: TrainerParts,
): number {
  const parsed = schema.safeParse(json);
  if (!parsed.success) throw refused(`its settings are damaged (${z.prettifyError(parsed.error)})`);
  const saved = parsed.data;
  const { name } = memory.optimizer;
  if (saved.optimizer !== name) throw refused(`its optimizer is "${saved.optimizer}", and not "${name}"`);
  const remembering = transformations.filter((each) => each.load);
  const missing = remembering.find((each) => !Object.hasOwn(saved, each.name));
  if (missing) throw refused(`it has no ${missing.name}`);
  const other = Object.keys(saved).find((key) => !known.has(key) && !remembering.some((each) => each.name === key));
  if (other !== undefined) throw refused(`it has ${other}`);
  if (!saved.lossScale !== !lossScale)
    throw refused(`its loss was ${saved.lossScale ? '' : 'not '}scaled (lossScaling)`);
  const part = (name: string): Map<string, Tensor> => unprefixed(name, tensors);
  const values = part('parameter');
  const kept = [...parameters.all, ...parameters.states];
  const all = kept.map(({ input, value }) => [value, savedFloats(values, input.name, value.length)] as const);
  memory.load(part('optimizer'), new Map(parameters.all.map(({ input, dims }) => [input.name, dims])));
  for (const each of remembering)
    each.load!({ tensors: part(each.name), steps: (saved[each.name] as { steps: number }).steps }, parameters);
  lossScale?.load(saved.lossScale!);
  masks.runs = saved.dropout ?? 0;
  for (const [value, savedValue] of all) value.set(savedValue);
  parameters.refresh();
  return saved.steps;
}

function* prefixed(prefix: string, tensors: Iterable<readonly [string, Tensor]>): Generator<[string, Tensor]> {
  for (const [name, each] of tensors) yield [`${prefix}/${name}`, each];
}

function unprefixed(prefix: string, tensors: ReadonlyMap<string, Tensor>): Map<string, Tensor> {
  const start = `${prefix}/`;
  return new Map([...tensors].flatMap(([name, each]) => (name.startsWith(start) ? [[name.slice(start.length), each]] : []))); // prettier-ignore
}

function refused(problem: string): OnnxLoraError {
  return new OnnxLoraError(
    'FILE_INVALID',
    `The saved state does not belong to this run: ${problem}. Resume with the settings that it was saved with, or start over.`,
  );
}
