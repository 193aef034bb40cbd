/** @file Finds the values of a graph whose shape depends on its heads' number of outputs. */

import { OnnxLoraError } from '../../errors.ts';
import type { NodeProto, TensorProto } from '../../graph/proto.ts';
import { readTensor } from '../../graph/tensorData.ts';
import type { ValueType } from '../../graph/value.ts';
import { type GraphIndex, indexWhole, intAttribute, subgraphs } from '../../graph/walk.ts';
import { occurrencesOf, type Site } from '../../match/sites.ts';
import { declaredType } from '../../ops/inferGraph.ts';
import { sizeOf } from '../../runtime/tensor.ts';
import type { ModelGraph } from '../graph/modelGraph.ts';
import { canBeHead, unary, broadcasting, reshaping, selecting } from '../graph/headSites.ts';

/** Operators that accept any number of scores, with a result independent of it. */
const ends = new Set(['Shape', 'Size', 'ArgMax', 'ArgMin']);

/** The values of a head's scores, with the axis of the outputs if known. */
export type ScoreValues = ReadonlyMap<string, number | undefined>;

/**
 * Values whose shape depends on the heads' outputs. @throws OnnxLoraError `MODEL_UNSUPPORTED` for a hardcoded number
 */
export function scoreValues(model: ModelGraph, heads: readonly Site[]): ScoreValues {
  const { graph } = model.onnx.model;
  const types = model.types();
  const index = indexWhole(graph);
  const calls = heads.flatMap(occurrencesOf);
  const own = new Set(calls.flatMap((site) => [...site.nodes, ...(site.bias ? [site.bias.node] : [])]));
  const inMain = new Set(graph.node);
  const declared = new Map((graph.output ?? []).map((info) => [info.name ?? '', declaredType(info).shape]));
  const found = new Map<string, number | undefined>();
  const collect = (value: string, site: Site): void => {
    if (found.has(value)) return;
    found.set(value, axisOf(types.get(value)?.shape ?? declared.get(value), site.weightShape[0]!, site.kind));
    for (const { node } of index.uses.get(value) ?? [])
      if (!isEnd(node)) for (const output of node.output ?? []) collect(output, site);
  };
  for (const site of calls) for (const value of [site.product, site.output]) collect(value, site);

  const [{ path, weightShape }] = heads as readonly [Site, ...Site[]];
  const out = weightShape[0]!;
  const refuse = (reason: string): never => {
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `"${path}" of "${model.name}" cannot have another number of outputs than ${out}: ${reason}. Export the model with a head of the number that you need.`,
    );
  };
  const isFine = (node: NodeProto, at: number): boolean => {
    const { opType = '', input = [] } = node;
    if (subgraphs(node).length > 0) return false;
    if (isEnd(node) || unary.has(opType)) return true;
    if (reshaping.has(opType)) return at === 0 && input.slice(1).every((each) => !namesSize(each, out, index));
    if (selecting.has(opType)) return at === 0 || opType === 'Concat' ? keepsScores(node, found, index, types) : false;
    const others = input.filter((each) => each && !found.has(each));
    return broadcasting.has(opType) && others.every((each) => broadcasts(each, out, index, types));
  };
  if (!heads.every(canBeHead) || calls.some((site) => !inMain.has(site.node)))
    refuse('it is no linear layer or convolution that is computed in any case');
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

/** True if a node chooses or joins along other axes than that of the scores. */
function keepsScores(
  node: NodeProto,
  scores: ScoreValues,
  { constants }: GraphIndex,
  types: ReadonlyMap<string, ValueType>,
): boolean {
  const { opType, input = [] } = node;
  const rank = types.get(input[0]!)?.shape?.length;
  const own = scores.get(input[0]!);
  const joined = opType === 'Concat' ? input : input.slice(0, 1);
  if (rank === undefined || own === undefined || joined.some((each) => scores.get(each) !== own)) return false;
  const named = opType === 'Slice' ? constants.get(input[3] ?? '') : undefined;
  const axes = opType === 'Slice' ? named && [...readTensor(named).data].map(Number) : [intAttribute(node, 'axis', 0)];
  return axes?.every((axis) => (axis + rank) % rank !== own) ?? false;
}

/** True if a constant shape, or a Concat of constants, contains the number. */
function namesSize(value: string, out: number, { constants, producer }: GraphIndex): boolean {
  const says = (tensor: TensorProto | undefined): boolean =>
    tensor !== undefined && sizeOf(tensor.dims ?? []) <= 16 && [...readTensor(tensor).data].some((each) => Number(each) === out); // prettier-ignore
  if (constants.has(value)) return out > 1 && says(constants.get(value));
  const node = producer.get(value);
  return node?.opType === 'Concat' && (node.input ?? []).some((part) => says(constants.get(part)));
}

/** True if a value broadcasts to any number of scores. */
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
