/** @file Checks checkpoints: graphs that a plugin builds are compared with torch, or refused. */

import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { OnnxLoraError, type Feeds, type Tensor, type Runtime, type PluginRegistry } from '@onnx-lora/sdk';
import { type GraphPort, sizeOf } from '@onnx-lora/sdk/tasks';
import { readSafetensors } from '@onnx-lora/sdk/data';
import { declaredType } from '@onnx-lora/sdk/core';
import { sessionModel, type ModelProto, type ValueInfoProto } from '@onnx-lora/sdk/plugin';
import { released } from '../scratch.ts';
import { failed, judge, type Outcome, passed } from './check.ts';
import { completeFeeds } from './case.ts';
import { compareTensors, type Difference, tolerances } from './compare.ts';

/** A run of a graph, as in case.json. */
export interface CheckpointRun {
  /** Prefix of its tensors. */
  readonly id: string;
  /** File name of the graph, without the ending. */
  readonly graph: string;
  /** Names of inputs. */
  readonly inputs: readonly string[];
  /** Names of the outputs to compare. */
  readonly outputs: readonly string[];
  /** Whether the run is skipped for graphs without these inputs. */
  readonly optional?: boolean;
}

/** The case.json of a checkpoint: runs to compare, or why it must be refused. */
export interface CheckpointCase {
  /** Runs of the graphs. */
  readonly runs?: readonly CheckpointRun[];
  /** Why it cannot be built, in a word. */
  readonly refused?: string;
}

/** torch's tensors of the runs: `RUN.input.NAME`, `RUN.output.NAME`, `RUN.valid.NAME`. */
const GOLDEN = 'golden.safetensors';

/** Reads the case.json of a checkpoint; undefined for cases of another kind, or without one. */
export function readCheckpointCase(folder: string): CheckpointCase | undefined {
  const file = path.join(folder, 'case.json');
  if (!existsSync(file)) return undefined;
  const { runs, refused } = JSON.parse(readFileSync(file, 'utf8')) as CheckpointCase;
  return runs || refused !== undefined ? { ...(runs ? { runs } : {}), ...(refused === undefined ? {} : { refused }) } : undefined; // prettier-ignore
}

/** Builds a checkpoint with a plugin and compares its runs. @throws OnnxLoraError unless the case must be refused */
export async function checkCheckpoint(
  folder: string,
  { runs = [], refused }: CheckpointCase,
  { plugins, runtime }: { readonly plugins: PluginRegistry; readonly runtime: Runtime },
): Promise<Outcome> {
  const builder = plugins.builders.find((each) => each.recognises(folder));
  if (!builder) return failed(['no plugin builds checkpoints: load @onnx-lora/build']);
  const building = builder.build(folder, { families: plugins.families });
  if (refused !== undefined) return refusal(building, refused);
  return compareRuns(await building, runs, folder, runtime);
}

async function refusal(building: Promise<unknown>, reason: string): Promise<Outcome> {
  try {
    await building;
  } catch (error) {
    if (error instanceof OnnxLoraError) return passed(error.message);
    throw error;
  }
  return failed([`it was built, and should be refused: ${reason}`]);
}

/** Runs graphs and compares the outputs with a checkpoint's `golden.safetensors`. */
export async function compareRuns(
  graphs: ReadonlyMap<string, ModelProto>,
  runs: readonly CheckpointRun[],
  folder: string,
  runtime: Runtime,
): Promise<Outcome> {
  const { tensors } = await readSafetensors(path.join(folder, GOLDEN));
  const differences: Difference[] = [];
  const problems: string[] = [];
  for (const run of runs) {
    const model = graphs.get(run.graph);
    const lacking = model ? lackingInputs(model, run.inputs) : [];
    if (run.optional && lacking.length > 0) continue;
    if (!model)
      problems.push(`run ${run.id} needs a graph ${run.graph}, and there are ${[...graphs.keys()].join(', ')}`);
    else if (lacking.length > 0)
      problems.push(`run ${run.id} feeds ${lacking.join(', ')}, which the graph ${run.graph} does not take`);
    else differences.push(...(await compareRun(model, run, tensors, runtime)));
  }
  return judge(differences, problems);
}

/** Inputs that the graph does not have; without them it would compute something else. */
function lackingInputs({ graph }: ModelProto, names: readonly string[]): string[] {
  const own = new Set(graph!.input!.map(({ name }) => name));
  return names.filter((name) => !own.has(name));
}

async function compareRun(
  model: ModelProto,
  { id, outputs }: CheckpointRun,
  golden: ReadonlyMap<string, Tensor>,
  runtime: Runtime,
): Promise<Difference[]> {
  const session = await runtime.createSession({ ...sessionModel(model), name: id });
  return released(session, async () => {
    const found = await session.run(feedsOf(model, id, golden), outputs);
    return outputs.map((name) => {
      const expected = golden.get(`${id}.output.${name}`)!;
      const valid = golden.get(`${id}.valid.${name}`);
      const actual = found[name] && valid ? onlyValid(found[name], expected, valid) : found[name];
      return compareTensors(`${id} ${name}`, actual, expected, tolerances.output);
    });
  });
}

/** Inputs of a run; missing masks are all 1, and missing caches empty. */
function feedsOf(model: ModelProto, run: string, golden: ReadonlyMap<string, Tensor>): Feeds {
  const ports = Object.fromEntries(model.graph!.input!.map((info) => [info.name!, portOf(info)]));
  const given = Object.keys(ports).flatMap((name) => {
    const tensor = golden.get(`${run}.input.${name}`);
    return tensor ? [[name, tensor] as const] : [];
  });
  return completeFeeds(ports, Object.fromEntries(given));
}

function portOf(info: ValueInfoProto): GraphPort {
  const { type = 'float32', shape } = declaredType(info);
  return { type, dims: shape };
}

/** Replaces invalid elements by the expected ones; `valid` broadcasts. */
function onlyValid(actual: Tensor, expected: Tensor, valid: Tensor): Tensor {
  const { dims } = expected;
  if (actual.dims.join() !== dims.join()) return actual;
  const strides = dims.map((_, axis) => {
    const own = axis - (dims.length - valid.dims.length);
    return (valid.dims[own] ?? 1) > 1 ? sizeOf(valid.dims.slice(own + 1)) : 0;
  });
  const data = Float32Array.from(actual.data as Float32Array, (value, i) => {
    let [at, rest] = [0, i];
    for (let axis = dims.length - 1; axis >= 0; axis--) {
      at += (rest % dims[axis]!) * strides[axis]!;
      rest = Math.floor(rest / dims[axis]!);
    }
    return Number(valid.data[at]) === 1 ? value : Number(expected.data[i]);
  });
  return { type: 'float32', dims, data };
}
