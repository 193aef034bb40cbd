/** @file Finds and replaces the rotary frequencies of a graph. */

import { float32, OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import { toHalf } from '@onnx-lora/sdk/tasks';
import {
  type NodeProto,
  dataTypeName,
  type GraphIndex,
  type GraphProto,
  indexGraph,
  inferGraph,
  type ModelProto,
  readFloats,
  type TensorProto,
  tensorProto,
} from '@onnx-lora/sdk/plugin';
import type { StretchedFrequencies } from './frequencies.ts';

type Graphed = ModelProto & { readonly graph: GraphProto };

/** Inputs of operators that take tables of cosines and sines `[positions, pairs]`. */
const tableInputs: Readonly<Record<string, readonly [cos: number, sin: number]>> = {
  'com.microsoft.GroupQueryAttention': [7, 8],
  'com.microsoft.RotaryEmbedding': [2, 3],
  '.RotaryEmbedding': [1, 2],
};

/** Operators that may appear between frequencies and their cosines. */
const between: ReadonlySet<string> = new Set(['Identity', 'Cast', 'Expand', 'Reshape', 'Unsqueeze', 'Squeeze', 'Transpose', 'Mul', 'MatMul', 'Einsum', 'Concat']); // prettier-ignore

/** A graph's rotary frequencies, and the values that hold them. */
export interface RotaryTables {
  /** Radians per position, for each pair of a head. */
  readonly frequencies: readonly number[];
  readonly constants: readonly string[];
  readonly waves: ReadonlySet<NodeProto>;
  readonly tables: readonly (readonly [cos: string, sin: string])[];
}

/**
 * Finds the rotary frequencies of a graph: constants under cosines and sines, or tables of rotary operators.
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for a graph with no frequencies, several kinds, or changed ones
 */
export function rotaryTables({ graph }: Graphed, file: string): RotaryTables {
  const index = indexGraph(graph);
  const tables = tablesOf(graph, index);
  const constants = [...index.constants].flatMap(([name, tensor]) => {
    const frequencies = powersIn(tensor);
    const waves = frequencies ? wavesOf(name, index) : [];
    return frequencies && waves.length > 0 ? [{ name, frequencies, waves }] : [];
  });
  const all = [...constants.map(({ frequencies }) => frequencies), ...tables.map(({ frequencies }) => frequencies)];
  const [first] = all;
  if (!first) throw unsupported(file, 'has no rotary frequencies θ^(−2i/d) as constants, or they are changed already');
  if (all.some((each) => !isNear(each, first))) throw unsupported(file, 'has layers with different rotary frequencies');
  return {
    frequencies: first,
    constants: constants.map(({ name }) => name),
    waves: new Set(constants.flatMap(({ waves }) => waves)),
    tables: tables.map(({ names }) => names),
  };
}

function unsupported(file: string, what: string): OnnxLoraError {
  return new OnnxLoraError('MODEL_UNSUPPORTED', `"${file}" ${what}, so its positions cannot be stretched. Use a model with one kind of rotary positions, as it was trained.`); // prettier-ignore
}

function isNear(some: readonly number[], others: readonly number[]): boolean {
  return some.length === others.length && some.every((each, i) => Math.abs(each - others[i]!) <= 1e-3 * others[i]!);
}

/** The values of a constant, if they are successive powers, from 1 on, of a number below 1. */
function powersIn(tensor: TensorProto): readonly number[] | undefined {
  const count = (tensor.dims ?? []).reduce((product, dim) => product * dim, 1);
  const isFloat = /^(?:float32|float16)$/.test(dataTypeName(tensor.dataType) ?? '');
  return isFloat && count >= 2 && count <= 1024 ? powers([...readFloats(tensor)]) : undefined;
}

function powers(numbers: readonly number[]): readonly number[] | undefined {
  const step = numbers.at(-1)! ** (1 / (numbers.length - 1));
  const isDecreasing = numbers[0] === 1 && step > 0 && step < 1;
  return isDecreasing && isNear(numbers, numbers.map((_, i) => step ** i)) ? numbers : undefined; // prettier-ignore
}

/** The Cos and Sin nodes of a value; none unless it has both. */
function wavesOf(name: string, { uses }: GraphIndex): readonly NodeProto[] {
  const waves = new Set<NodeProto>();
  const seen = new Set<string>();
  const open = [name];
  for (let value = open.pop(); value !== undefined && seen.size < 64; value = open.pop()) {
    if (seen.has(value)) continue;
    seen.add(value);
    for (const { node } of uses.get(value) ?? []) {
      if (node.opType === 'Cos' || node.opType === 'Sin') waves.add(node);
      else if (between.has(node.opType ?? '')) open.push(...(node.output ?? []));
    }
  }
  return new Set([...waves].map(({ opType }) => opType)).size === 2 ? [...waves] : [];
}

function tablesOf(
  { node: nodes = [] }: GraphProto,
  { constants }: GraphIndex,
): readonly { readonly names: readonly [string, string]; readonly frequencies: readonly number[] }[] {
  const found = new Map<string, { names: readonly [string, string]; frequencies: readonly number[] }>();
  for (const { opType, domain = '', input = [] } of nodes) {
    const at = tableInputs[`${domain}.${opType}`];
    const names = at?.map((i) => input[i] ?? '') as [string, string] | undefined;
    const [cos, sin] = names?.map((name) => constants.get(name)) ?? [];
    const pairs = cos?.dims?.[1];
    if (!names || !cos || !sin || !pairs || cos.dims![0]! < 2 || found.has(names.join())) continue;
    const [a, b] = [readFloats(cos), readFloats(sin)];
    const angles = Array.from({ length: pairs }, (_, i) => Math.atan2(b[pairs + i]!, a[pairs + i]!));
    // Position 0 has no rotation, so a factor would show.
    const isPlain = a[0] === 1 && b[0] === 0 && Math.abs(angles[0]! - 1) < 1e-3;
    const frequencies = isPlain ? powers([1, ...angles.slice(1)]) : undefined;
    if (frequencies) found.set(names.join(), { names, frequencies });
  }
  return [...found.values()];
}

/** The graph with other frequencies; its tables have `factor` times as many positions. */
export function withFrequencies(
  model: Graphed,
  found: RotaryTables,
  { frequencies, scale }: StretchedFrequencies,
  factor: number,
): Graphed {
  const { graph } = model;
  const { constants } = indexGraph(graph);
  const types = inferGraph(model);
  const changed = new Map<string, TensorProto>();
  const put = (name: string, like: string, dims: readonly number[], values: readonly number[]): void => {
    const isHalf = types.get(like)?.type === 'float16';
    const tensor: Tensor = isHalf ? { type: 'float16', dims, data: Uint16Array.from(values, toHalf) } : float32(values, dims); // prettier-ignore
    changed.set(name, tensorProto(name, tensor));
  };
  for (const name of found.constants) put(name, name, constants.get(name)!.dims ?? [], [...frequencies]);
  for (const names of found.tables) {
    const [before = 0, pairs = 0] = constants.get(names[0])!.dims ?? [];
    const dims = [Math.ceil(before * factor), pairs];
    for (const [i, wave] of [Math.cos, Math.sin].entries()) {
      const value = (at: number): number => scale * wave(Math.floor(at / pairs) * frequencies[at % pairs]!);
      put(
        names[i]!,
        names[i]!,
        dims,
        Array.from({ length: dims[0]! * pairs }, (_, at) => value(at)),
      );
    }
  }
  const scaled = scale === 1 ? new Set<NodeProto>() : found.waves;
  for (const { output } of scaled) put(`${output![0]}/factor`, output![0]!, [], [scale]);
  const kept = (graph.initializer ?? []).filter(({ name = '' }) => !changed.has(name));
  const isConstant = new Set((graph.node ?? []).filter(({ opType }) => opType === 'Constant').map(({ output }) => output![0]!)); // prettier-ignore
  const added = [...changed].flatMap(([name, tensor]) => (isConstant.has(name) ? [] : [tensor]));
  const node = (graph.node ?? []).flatMap((each): readonly NodeProto[] => {
    const [output = ''] = each.output ?? [];
    const tensor = each.opType === 'Constant' ? changed.get(output) : undefined;
    if (tensor) return [{ ...each, attribute: each.attribute!.map((own) => (own.t ? { ...own, t: tensor } : own)) }];
    if (!scaled.has(each)) return [each];
    const plain = `${output}/plain`;
    return [
      { ...each, output: [plain] },
      { opType: 'Mul', input: [plain, `${output}/factor`], output: [output] },
    ];
  });
  return { ...model, graph: { ...graph, node, initializer: [...kept, ...added] } };
}
