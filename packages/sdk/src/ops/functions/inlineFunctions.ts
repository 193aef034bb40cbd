/** @file Inlines a model's functions, so that matching sees plain operators. */

import type { FunctionProto, GraphProto, ModelProto, NodeProto, OperatorSetId } from '../../graph/proto.ts';
import { withInner } from '../../graph/uniqueNames.ts';
import { allGraphs } from '../../graph/walk.ts';
import { isStandard } from '../domains.ts';
import { functionCall, functionKey, unnamed } from './functionCall.ts';
import { checkedOpset, checkFunctionCalls } from './functionChecks.ts';

/**
 * Inlines all calls of a model's functions. Values and nodes of a body are named `<call>/<name>`; nodes without
 * metadata take the call's.
 * @returns the model without functions; the model itself if it has none
 * @throws OnnxLoraError `MODEL_INVALID` for recursion, or bodies out of proportion
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` if a function uses an operator that changed up to the model's opset
 */
export function inlineFunctions(model: ModelProto): ModelProto {
  if (!model.functions?.length) return model;
  const inliner = new Inliner(model);
  const graph = inliner.graph(model.graph ?? {});
  const { functions: _, ...rest } = model;
  return {
    ...rest,
    graph,
    opsetImport: [...inliner.opsets].map(([domain, version]): OperatorSetId => ({ domain, version })),
  };
}

class Inliner {
  /** Opset versions of the result, by domain. */
  readonly opsets: Map<string, number>;
  readonly #functions: ReadonlyMap<string, FunctionProto>;
  readonly #names: Set<string>;
  readonly #calls = new Map<string, number>();

  constructor({ functions = [], graph = {}, opsetImport = [] }: ModelProto) {
    this.opsets = new Map(opsetImport.map(({ domain, version }) => [domain ?? '', version ?? 0]));
    this.#functions = new Map(functions.map((each) => [functionKey(each), each]));
    checkFunctionCalls(graph, (node) => this.#called(node));
    this.#names = new Set([...allGraphs(graph)].flatMap(namesIn));
  }

  graph(graph: GraphProto): GraphProto {
    const values: NonNullable<GraphProto['valueInfo']> = [];
    const node = (graph.node ?? []).flatMap((each) => this.#node(each, values));
    return { ...graph, node, ...(values.length > 0 ? { valueInfo: [...(graph.valueInfo ?? []), ...values] } : {}) };
  }

  /** The node with inlined subgraphs, or the body of the called function. */
  #node(node: NodeProto, values: NonNullable<GraphProto['valueInfo']>): NodeProto[] {
    const called = this.#called(node);
    if (!called) return [withInner(node, (graph) => this.graph(graph))];
    this.#import(called);
    const scope = this.#scope(node, called);
    const body = functionCall(node, called, scope);
    for (const name of body.names) this.#names.add(name);
    for (const each of body.valueInfo) values.push(each);
    return body.nodes.flatMap((each) => this.#node(each, values));
  }

  #called(node: NodeProto): FunctionProto | undefined {
    return this.#functions.get(functionKey({ ...node, name: node.opType ?? '' }));
  }

  /** A scope for the call whose names are free. */
  #scope(node: NodeProto, called: FunctionProto): string {
    const base = withoutClass(node.name, called) || `/${called.name ?? 'function'}`;
    const inside = (called.node ?? []).flatMap((each, i) => [each.name || unnamed(each, i), ...(each.output ?? [])]);
    const isTaken = (scope: string): boolean =>
      inside.some((name) => name !== '' && this.#names.has(`${scope}/${name}`));
    let count = this.#calls.get(base) ?? 0;
    let scope = count === 0 ? base : `${base}_${count}`;
    while (isTaken(scope)) scope = `${base}_${++count}`;
    this.#calls.set(base, count + 1);
    return scope;
  }

  #import(called: FunctionProto): void {
    for (const { domain = '', version = 0 } of called.opsetImport ?? []) {
      const existing = this.opsets.get(domain) ?? (domain === 'ai.onnx' ? this.opsets.get('') : undefined);
      if (existing === undefined) this.opsets.set(domain, version);
      else if (isStandard(domain)) checkedOpset(called, version, existing);
    }
  }
}

/** torch names calls by scope and class, `/encoder/fc1/Linear`; the class is not part of the module path. */
function withoutClass(name = '', { name: called = '' }: FunctionProto): string {
  const [, scope = '', last = ''] = /^(\/.+)\/([^/]+)$/.exec(name) ?? [];
  return called !== '' && (last === called || last.replace(/_\d+$/, '') === called) ? scope : name;
}

function namesIn(graph: GraphProto): string[] {
  return [
    ...(graph.input ?? []).map(({ name }) => name ?? ''),
    ...(graph.initializer ?? []).map(({ name }) => name ?? ''),
    ...(graph.node ?? []).flatMap(({ name, output }) => [name ?? '', ...(output ?? [])]),
  ];
}
