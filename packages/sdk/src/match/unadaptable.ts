/** @file Products with weights that are not adaptable, and why. */

import { isOfBranch } from '../graph/branchNames.ts';
import type { GraphProto, NodeProto } from '../graph/proto.ts';
import { allNodes, type GraphIndex, indexWhole, intAttribute, subgraphs } from '../graph/walk.ts';
import { isKnownDomain } from '../ops/domains.ts';
import { layerFinders } from './layers/index.ts';
import type { ExplainedIndex } from './mismatch.ts';
import type { Site } from './site.ts';
import { fusedFrom } from './view.ts';
import { constantWeight, namedConstant } from './weights/index.ts';
import { isRandom, weightInputsOf } from '../ops/schema.ts';

/** A product with a weight that is not adaptable by itself. */
export interface UnadaptableLayer {
  /** Name of the ONNX node, or of its first output if unnamed. */
  readonly node: string;
  /** The operator: `LSTM`, or with its domain `com.example.Conv`. */
  readonly operator: string;
  /** Name of the value that it reads as its weight. */
  readonly weight: string;
  /** Shape of the weight, if it is stored as a constant. */
  readonly shape?: readonly number[];
  /** Why it is no module: the predicate of a sentence about the node. */
  readonly reason: string;
}

/** All products with a constant of at least two dimensions that are no site, in graph order. */
export function findUnadaptable(graph: GraphProto, sites: readonly Site[]): UnadaptableLayer[] {
  const index = indexWhole(graph);
  const carried = carriedWeights(graph);
  const constants = constantValues(graph, index, carried);
  const places = sites.flatMap((site) => [site, ...site.alsoAt]);
  const adaptable = new Set(places.map(({ node }) => node));
  const found = new Map<string, UnadaptableLayer>();
  for (const node of allNodes(graph)) {
    const read = adaptable.has(node) ? undefined : weightOf(node, index, constants, carried);
    if (read === undefined || isOfBranch(read)) continue;
    const loop = carried.get(read);
    const name = loop?.weight ?? read;
    const original = fusedFrom(node) ?? node;
    const label = original.name || (original.output?.find(Boolean) ?? '');
    const shape = shapeOf(name, index);
    const domain = isKnownDomain(original) ? '' : `${original.domain}.`;
    found.set(`${label} ${name}`, {
      node: label,
      operator: `${domain}${original.opType ?? ''}`,
      weight: name,
      ...(shape ? { shape } : {}),
      reason: loop ? `reads its weight as a state of the ${loop.operator} around it, which hands it on unchanged. Export the model so that the body reads the weight itself, or the layer as one LSTM or GRU node` : reasonOf(node, name, index), // prettier-ignore
    });
  }
  return [...found.values()];
}

/** The constant input that a node multiplies with. */
function weightOf(
  node: NodeProto,
  index: GraphIndex,
  constants: ReadonlySet<string>,
  carried: ReadonlyMap<string, CarriedWeight>,
): string | undefined {
  const { input = [] } = node;
  const found = weightInputsOf(node)
    .map((i) => input[i])
    .find((name) => name && constants.has(name));
  // A value computed from constants alone is itself constant.
  if (!found || input.every((name) => !name || constants.has(name))) return undefined;
  const shape = shapeOf(carried.get(found)?.weight ?? found, index);
  return shape !== undefined && shape.length < 2 ? undefined : found;
}

function shapeOf(name: string, index: GraphIndex): readonly number[] | undefined {
  return constantWeight(name, index)?.dims ?? index.constants.get(name)?.dims;
}

interface CarriedWeight {
  readonly operator: string;
  readonly weight: string;
}

/** Loop-invariant states by their body inputs; Keras passes the weights of recurrent layers this way. */
function carriedWeights(graph: GraphProto): ReadonlyMap<string, CarriedWeight> {
  const found = new Map<string, CarriedWeight>();
  for (const node of allNodes(graph)) {
    const { opType: operator = '', input: outside = [] } = node;
    const [body] = operator === 'Loop' || operator === 'Scan' ? subgraphs(node) : [];
    if (!body) continue;
    const copies = new Map((body.node ?? []).flatMap(({ opType, input, output }) => opType === 'Identity' ? [[output?.[0], input?.[0]] as const] : [])); // prettier-ignore
    const { input: inputs = [], output: outputs = [] } = body;
    // A Loop has its iteration count and condition before its states; its body returns the condition.
    const [first, answers] = operator === 'Loop' ? [2, 1] : [0, 0];
    const states =
      operator === 'Loop' ? inputs.length - first : inputs.length - intAttribute(node, 'num_scan_inputs', 0);
    for (let i = 0; i < states; i++) {
      const [inside, weight] = [inputs[first + i]?.name, outside[first + i]];
      let result = outputs[answers + i]?.name;
      while (result !== inside && copies.has(result)) result = copies.get(result);
      if (inside && weight && result === inside) found.set(inside, { operator, weight });
    }
  }
  return found;
}

function constantValues(
  graph: GraphProto,
  { constants }: GraphIndex,
  carried: ReadonlyMap<string, CarriedWeight>,
): ReadonlySet<string> {
  const found = new Set(constants.keys());
  for (const [inside, { weight }] of carried) if (found.has(weight)) found.add(inside);
  // Nodes are sorted, and a subgraph reads only from enclosing graphs.
  for (const node of allNodes(graph)) {
    const inputs = (node.input ?? []).filter(Boolean);
    const isMade = inputs.length > 0 && inputs.every((name) => found.has(name)) && subgraphs(node).length === 0;
    if (node.opType === 'Constant' || (isMade && !isRandom(node)))
      for (const name of node.output ?? []) found.add(name);
  }
  return found;
}

function reasonOf(node: NodeProto, weight: string, index: GraphIndex): string {
  const { opType = '', domain, input = [] } = node;
  if (!isKnownDomain(node)) return `is an operator of ${domain}, whose meaning is not known`;
  const differences: string[] = [];
  const explained: ExplainedIndex = { ...index, explain: (reason) => differences.push(reason) };
  for (const find of layerFinders(() => undefined)) find(node, explained);
  const [difference] = differences;
  if (difference) return difference;
  if (!constantWeight(weight, index) && !namedConstant(weight, index))
    return `reads a weight that other nodes compute from constants (${computedBy(weight, index)})`;
  if (opType === 'MatMul' && input[0] === weight)
    return 'multiplies by a constant from the left that has no layer’s name, as transforms do';
  if (/^(?:LSTM|GRU|RNN|DynamicQuantizeLSTM|AttnLSTM)$/.test(opType))
    return 'is recurrent, in a form that is not adapted';
  return `is a ${opType}, in a form that is not taken apart`;
}

/** The operators that compute a value, the last first. */
function computedBy(name: string, { producer }: GraphIndex): string {
  const found: string[] = [];
  for (let at: string | undefined = name; at && found.length < 4;) {
    const node = producer.get(at);
    if (!node) break;
    found.push(node.opType ?? '');
    at = node.input?.find((each) => producer.has(each));
  }
  return found.toReversed().join(', ');
}
