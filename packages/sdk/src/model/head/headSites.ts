/** @file The layers that are a model's head, and what of the graph depends on how many outputs they have. */

import { OnnxLoraError } from '../../errors.ts';
import type { GraphProto, NodeProto, TensorProto } from '../../graph/proto.ts';
import { readTensor } from '../../graph/tensorData.ts';
import type { ValueType } from '../../graph/value.ts';
import { type GraphIndex, indexWhole, subgraphs } from '../../graph/walk.ts';
import type { Site } from '../../match/sites.ts';
import { declaredType } from '../../ops/inferGraph.ts';
import { sizeOf } from '../../runtime/tensor.ts';

/** Operators of one value that leave its shape alone, or move its dimensions. */
const ofOne = new Set([
  'Identity', 'Cast', 'Neg', 'Relu', 'Sigmoid', 'HardSigmoid', 'Tanh', 'Softplus', 'Exp', 'Log', 'Sqrt', 'Clip', 'Dropout',
  'Softmax', 'LogSoftmax', 'Transpose', 'Squeeze', 'Unsqueeze', 'Flatten',
]); // prettier-ignore
/** Operators of several values that broadcast. */
const ofSeveral = new Set(['Add', 'Sub', 'Mul', 'Div', 'Max', 'Min', 'Mean', 'Sum', 'Pow']);
/** Operators that take whatever number of scores there is, and whose result does not depend on it. */
const ends = new Set(['Shape', 'Size', 'ArgMax', 'ArgMin']);
/** Operators told a shape by constants. */
const shaped = new Set(['Reshape', 'Expand', 'Resize']);

/** Whether a layer can be a head: what it computes is one number, or one map, per output. */
function canBeHead({ kind, arrange, alsoAt }: Site): boolean {
  return (kind === 'linear' || kind === 'conv2d') && !arrange && alsoAt.length === 0;
}

/**
 * The layers that give `output`, with nothing behind them but reshaping, scaling, softmax and means of several heads. Empty
 * where there is no such layer.
 */
export function headSites(graph: GraphProto, sites: readonly Site[], output: string): readonly Site[] {
  const { producer, constants } = indexWhole(graph);
  const byValue = new Map(sites.flatMap((site) => [[site.product, site] as const, [site.output, site] as const]));
  const found = new Set<Site>();
  // A value that is read twice is looked at once: of Add(x, x) after Add(x, x) there could be many.
  const known = new Map<string, boolean>();
  const isHead = (value: string): boolean => {
    const before = known.get(value);
    if (before !== undefined) return before;
    known.set(value, false);
    const answer = look(value);
    known.set(value, answer);
    return answer;
  };
  const look = (value: string): boolean => {
    const site = byValue.get(value);
    if (site) found.add(site);
    if (site) return canBeHead(site);
    const node = producer.get(value);
    const { opType = '', input = [] } = node ?? {};
    if (ofOne.has(opType) || shaped.has(opType)) return isHead(input[0]!);
    const computed = input.filter((name) => name && !constants.has(name));
    return ofSeveral.has(opType) && computed.length > 0 && computed.every(isHead);
  };
  const all = isHead(output) ? [...found] : [];
  return all.every(({ weightShape: [out] }) => out === all[0]!.weightShape[0]) ? all : [];
}

/** Values with the scores of a head, and which of their dimensions counts the outputs, where it is known. */
export type ScoreValues = ReadonlyMap<string, number | undefined>;

/**
 * The values that change their shape when heads have another number of outputs.
 *
 * @param name what the user calls the model
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` where a node is written for the old number
 */
export function scoreValues(
  graph: GraphProto,
  heads: readonly Site[],
  types: ReadonlyMap<string, ValueType>,
  name: string,
): ScoreValues {
  const index = indexWhole(graph);
  const own = new Set(heads.flatMap((site) => [...site.nodes, ...(site.bias ? [site.bias.node] : [])]));
  const inMain = new Set(graph.node);
  const declared = new Map((graph.output ?? []).map((info) => [info.name ?? '', declaredType(info).shape]));
  const found = new Map<string, number | undefined>();
  const collect = (value: string, site: Site): void => {
    if (found.has(value)) return;
    found.set(value, axisOf(types.get(value)?.shape ?? declared.get(value), site.weightShape[0]!, site.kind));
    for (const { node } of index.uses.get(value) ?? [])
      if (!isEnd(node)) for (const output of node.output ?? []) collect(output, site);
  };
  for (const site of heads) for (const value of [site.product, site.output]) collect(value, site);

  const [{ path, weightShape }] = heads as readonly [Site, ...Site[]];
  const out = weightShape[0]!;
  const refuse = (reason: string): never => {
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `"${path}" of "${name}" cannot have another number of outputs than ${out}: ${reason}. Export the model with a head of the number that you need.`,
    );
  };
  const isFine = (node: NodeProto, at: number): boolean => {
    const { opType = '', input = [] } = node;
    if (subgraphs(node).length > 0) return false;
    if (isEnd(node) || ofOne.has(opType)) return true;
    if (shaped.has(opType)) return at === 0 && input.slice(1).every((each) => !namesSize(each, out, index));
    const others = input.filter((each) => each && !found.has(each));
    return ofSeveral.has(opType) && others.every((each) => broadcasts(each, out, index, types));
  };
  if (heads.some((site) => !canBeHead(site) || !inMain.has(site.node)))
    refuse('it is no linear layer or convolution that is computed once');
  for (const value of found.keys())
    for (const { node, index: at } of index.uses.get(value) ?? [])
      if (!own.has(node) && !isFine(node, at)) refuse(problem(node));
  return found;
}

function isEnd({ opType = '' }: NodeProto): boolean {
  return ends.has(opType);
}

function problem({ name, opType, output }: NodeProto): string {
  return `the node "${name || output?.[0]}" (${opType}) behind it is written for that number, or may be`;
}

/** Whether a constant shape, or one that is put together from constants, says the number. */
function namesSize(value: string, out: number, { constants, producer }: GraphIndex): boolean {
  const says = (tensor: TensorProto | undefined): boolean =>
    tensor !== undefined && sizeOf(tensor.dims ?? []) <= 16 && [...readTensor(tensor).data].some((each) => Number(each) === out); // prettier-ignore
  if (constants.has(value)) return out > 1 && says(constants.get(value));
  const node = producer.get(value);
  return node?.opType === 'Concat' && (node.input ?? []).some((part) => says(constants.get(part)));
}

/** Whether a value beside the scores is there for whatever number of them. */
function broadcasts(
  value: string,
  out: number,
  { constants }: GraphIndex,
  types: ReadonlyMap<string, ValueType>,
): boolean {
  const shape = constants.get(value)?.dims ?? types.get(value)?.shape;
  return shape !== undefined && (sizeOf(shape.map((dim) => (dim === 1 ? 1 : 2))) === 1 || !shape.includes(out));
}

function axisOf(shape: ValueType['shape'], out: number, kind: Site['kind']): number | undefined {
  if (!shape) return undefined;
  return kind === 'linear' ? shape.lastIndexOf(out) : shape.indexOf(out, 1);
}
