/** @file Type and shape inference of a graph. */

import { dataTypeName } from '../graph/dataType.ts';
import type { GraphProto, ModelProto, ValueInfoProto } from '../graph/proto.ts';
import type { Dim, ValueType } from '../graph/value.ts';
import { subgraphs } from '../graph/walk.ts';
import { isStandard } from './domains.ts';
import { inferNode, isImpossible } from './infer.ts';
import { constantType } from './inference/sources.ts';
import { controlFlow, isControlFlow, knownBranch, onlyBranch } from './inference/subgraphs.ts';

/** Sizes of dynamic dimensions by name, or whole shapes of graph inputs. */
export interface Bindings {
  /** Sizes by name: `{ batch: 8 }`. */
  readonly dims?: Readonly<Record<string, number>>;
  /** Shapes by graph input: `{ pixel_values: [8, 3, 224, 224] }`. */
  readonly shapes?: Readonly<Record<string, readonly number[]>>;
}

/** The standard opset of a model. */
export function opsetOf(model: ModelProto): number {
  return model.opsetImport?.find(({ domain }) => isStandard(domain))?.version ?? 0;
}

/** The declared type of a value. */
export function declaredType({ type }: ValueInfoProto): ValueType {
  const tensor = type?.tensorType;
  const dims = tensor?.shape && (tensor.shape.dim ?? []);
  return {
    type: dataTypeName(tensor?.elemType),
    // Some writers use −1 for an unknown size.
    shape: dims?.map(
      ({ dimParam, dimValue = -1 }, i): Dim =>
        dimParam || (Number.isSafeInteger(dimValue) && dimValue >= 0 ? dimValue : `?${i}`),
    ),
  };
}

/** Infers the types of all values of the main graph; `bindings` are known sizes, such as those of a batch. */
export function inferGraph(model: ModelProto, bindings: Bindings = {}): Map<string, ValueType> {
  const types = new Map<string, ValueType>();
  infer(model.graph ?? {}, opsetOf(model), bindings, types);
  return types;
}

/** Infers the types in a graph; false if it is sure to fail on its inputs. */
function infer(
  graph: GraphProto,
  opset: number,
  bindings: Bindings,
  types: Map<string, ValueType>,
  isBranch = false,
): boolean {
  const declared = new Map((graph.valueInfo ?? []).map((info) => [info.name ?? '', declaredType(info)]));
  let isPossible = true;
  for (const info of graph.input ?? []) types.set(info.name ?? '', bind(info.name ?? '', declaredType(info), bindings));
  for (const tensor of graph.initializer ?? []) types.set(tensor.name ?? '', constantType(tensor));
  for (const node of graph.node ?? []) {
    const inputs = (node.input ?? []).map((name) => (name ? (types.get(name) ?? {}) : undefined));
    const site = { node, inputs, opset };
    const graphs = subgraphs(node);
    const possible = graphs.map((subgraph) => infer(subgraph, opset, bindings, types, true));
    if (isControlFlow(node) && node.opType === 'If') {
      const condition = onlyBranch(node, inputs[0], possible);
      // The condition must select the branch that can run.
      if (condition !== undefined) types.set(node.input![0]!, (inputs[0] = { ...inputs[0], ints: [condition] }));
      if (isBranch && !(possible[knownBranch(node, inputs[0]) ?? -1] ?? possible.includes(true))) isPossible = false;
    } else if (isBranch && isImpossible(site)) isPossible = false;
    const bodies = graphs.map((subgraph) => (subgraph.output ?? []).map(({ name }) => types.get(name ?? '') ?? {}));
    const inferred = isControlFlow(node) ? controlFlow(site, bodies) : inferNode(site);
    (node.output ?? []).forEach((name, i) => {
      if (!name) return;
      const found = inferred[i] ?? {};
      const fallback = declared.get(name);
      types.set(name, {
        type: found.type ?? fallback?.type,
        shape: found.shape ?? (fallback?.shape && bind(name, fallback, bindings).shape),
        ints: found.ints,
      });
    });
  }
  return isPossible;
}

function bind(name: string, type: ValueType, { dims, shapes }: Bindings): ValueType {
  const whole = shapes?.[name];
  if (whole) return { ...type, shape: whole };
  return {
    ...type,
    shape: type.shape?.map((dim, i) => (typeof dim === 'string' ? (dims?.[dim] ?? unique(name, dim, i)) : dim)),
  };
}

/** Unnamed dimensions get a unique name. */
function unique(name: string, dim: string, index: number): string {
  return dim === `?${index}` && name ? `?${name}.${index}` : dim;
}
