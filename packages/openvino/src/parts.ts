/** @file Parts of a graph: those that OpenVINO computes, and the one that stays on ONNX Runtime. */

import { indexNodes, readNames, valueInfo } from '@onnx-lora/sdk/core';
import { type GraphProto, inferGraph, type ModelProto, type NodeProto, type ValueType } from '@onnx-lora/sdk/plugin';

type Types = ReadonlyMap<string, ValueType>;
type Nodes = ReadonlySet<NodeProto>;

/** A part of a graph: its inputs are inputs of the graph, or outputs of parts before it. */
export interface Part {
  readonly engine: 'openvino' | 'onnxruntime';
  readonly model: ModelProto;
}

/**
 * Splits a graph around operators that OpenVINO cannot convert: the nodes before them, they, and the nodes behind. One part
 * if there are none. Nodes that depend on constants alone are in each part that reads them.
 *
 * Such an operator is a Scan that captures outer values, like the recursion of the CTC loss, or a Loop in float64, like the
 * matching of detectors. Values in float64 around it stay with it, since OpenVINO has no such arithmetic.
 */
export function partsOf(model: ModelProto): readonly Part[] {
  const nodes = model.graph?.node ?? [];
  if (!nodes.some(isLoop)) return [{ engine: 'openvino', model }];
  const types = inferGraph(model);
  const isDouble = (name: string): boolean => types.get(name)?.type === 'float64';
  const isLacking = (node: NodeProto): boolean =>
    isLoop(node) && (node.opType === 'Scan' ? captures(node) : readNames(node).some(isDouble));
  const lacking = nodes.filter(isLacking);
  if (lacking.length === 0) return [{ engine: 'openvino', model }];
  const constant = constantNodes(model.graph!);
  const { producer, readers } = indexNodes(nodes.filter((node) => !constant.has(node)));
  const behind = (node: NodeProto): readonly NodeProto[] =>
    (node.output ?? []).flatMap((name) => readers.get(name) ?? []);
  const before = (node: NodeProto): readonly NodeProto[] => readNames(node).flatMap((name) => producer.get(name) ?? []);
  const doubles = reached(lacking, (node) => [
    ...readNames(node)
      .filter(isDouble)
      .flatMap((name) => producer.get(name) ?? []),
    ...(node.output ?? []).filter(isDouble).flatMap((name) => readers.get(name) ?? []),
  ]);
  const [later, earlier] = [reached([...doubles], behind), reached([...doubles], before)];
  const isKept = (node: NodeProto): boolean => doubles.has(node) || (later.has(node) && earlier.has(node));
  const free = nodes.filter((node) => !constant.has(node));
  const groups = [
    { engine: 'openvino', own: free.filter((node) => !later.has(node)) },
    { engine: 'onnxruntime', own: free.filter(isKept) },
    { engine: 'openvino', own: free.filter((node) => later.has(node) && !isKept(node)) },
  ] as const;
  const whole = { model, types, constant: [...constant] };
  return groups.filter(({ own }) => own.length > 0).map(({ engine, own }) => ({ engine, model: partOf(whole, own) }));
}

function isLoop({ opType }: NodeProto): boolean {
  return opType === 'Scan' || opType === 'Loop';
}

/** Whether a node's body reads values around it. */
function captures(node: NodeProto): boolean {
  return readNames(node).length > (node.input ?? []).filter(Boolean).length;
}

/** Nodes that depend on no input of the graph, but for those that make its outputs. */
function constantNodes({ node: nodes = [], input = [], output = [], initializer = [] }: GraphProto): Nodes {
  const fixed = new Set(initializer.map(({ name }) => name!));
  for (const { name } of input) fixed.delete(name!);
  const given = new Set(output.map(({ name }) => name));
  const found = new Set<NodeProto>();
  for (const node of nodes) {
    if (!readNames(node).every((name) => fixed.has(name)) || node.output?.some((name) => given.has(name))) continue;
    found.add(node);
    for (const name of node.output ?? []) fixed.add(name);
  }
  return found;
}

/** These nodes and all that `next` leads to. */
function reached(from: readonly NodeProto[], next: (node: NodeProto) => readonly NodeProto[]): Nodes {
  const found = new Set(from);
  for (const node of found) for (const each of next(node)) found.add(each);
  return found;
}

/** A model of some of the nodes, of the constants that they read, and of values of the others as inputs. */
function partOf(
  {
    model,
    types,
    constant,
  }: { readonly model: ModelProto; readonly types: Types; readonly constant: readonly NodeProto[] },
  own: readonly NodeProto[],
): ModelProto {
  const graph = model.graph!;
  const needed = new Set(own.flatMap(readNames));
  const constants = constant.toReversed().filter((node) => {
    if (!(node.output ?? []).some((name) => needed.has(name))) return false;
    for (const name of readNames(node)) needed.add(name);
    return true;
  });
  const node = [...constants.reverse(), ...own];
  const made = new Set(node.flatMap(({ output }) => output ?? []));
  const initializer = (graph.initializer ?? []).filter(({ name }) => needed.has(name!));
  const held = new Set(initializer.map(({ name }) => name!));
  const wanted = wantedOutside(graph, new Set(node));
  const infos = (names: Iterable<string>) => [...names].map((name) => valueInfo(name, types.get(name)?.type, types.get(name)?.shape)); // prettier-ignore
  return {
    ...model,
    graph: {
      name: graph.name ?? '',
      node,
      initializer,
      input: infos([...needed].filter((name) => !made.has(name) && !held.has(name))),
      output: infos(own.flatMap(({ output = [] }) => output.filter((name) => wanted.has(name)))),
    },
  };
}

/** Values that other nodes read, or the graph gives out. */
function wantedOutside({ node = [], output = [] }: GraphProto, own: Nodes): ReadonlySet<string> {
  return new Set([...node.filter((each) => !own.has(each)).flatMap(readNames), ...output.map(({ name }) => name!)]);
}
