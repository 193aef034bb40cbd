/** @file Injects adapters into a graph: low-rank products next to layers, inputs in place of trained parameters. */

import { OnnxLoraError } from '../errors.ts';
import type { Value } from '../graph/builder.ts';
import type { GraphProto, ModelProto, NodeProto, TensorProto } from '../graph/proto.ts';
import { withInner } from '../graph/uniqueNames.ts';
import { AdapterInputs, type GraphChange, type Injected, type InjectOptions } from './adapterInputs.ts';
import type { Lowering } from './lowering/lowering.ts';
import { GraphScope } from './lowering/graphScope.ts';
import { ProductLowering } from './lowering/product.ts';
import type { ProductAdapter } from './lowering/productForm.ts';
import { hookLosses, TunerLowering } from './lowering/tuner.ts';
import { declareParameter, WholeLowering, type WholeParameterAdapter } from './lowering/whole.ts';
import type { ByTuner } from './methods/byTuner.ts';
import { type AdapterPlan, labelOf, type ModuleAdapter, nodesOf } from './methods/moduleAdapter.ts';

export type { Injected, InjectOptions } from './adapterInputs.ts';

/**
 * Injects adapters. The base model is not changed and shares unaffected nodes with the result. Operators decomposed for
 * finding layers stay so: `refold` restores those without an adapter inside.
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for a plan made for another graph
 */
export function injectAdapters(base: ModelProto, plan: AdapterPlan, options: InjectOptions): Injected {
  const shared = new AdapterInputs(base, plan, options);
  for (const each of plan) if (isWhole(each)) declareParameter(shared, each);
  const constants: TensorProto[] = [];
  const stopped = new Set<string>();
  const found = new Set<NodeProto>();
  const losses: Value[] = [];
  const changes: GraphChange[] = [];
  let graphs = 0;
  // Values of a Scan's body are not those of the whole batch.
  const rewrite = (graph: GraphProto, holdsBatch: boolean): GraphProto => {
    const number = graphs++;
    for (const node of graph.node ?? []) found.add(node);
    const nodes = (graph.node ?? []).map(
      (node) => [node, withInner(node, (inner) => rewrite(inner, holdsBatch && node.opType !== 'Scan'))] as const,
    );
    const scope = new GraphScope(shared, graph, { number, holdsBatch });
    const result = scope.rewrite(nodes, loweringsOf(scope, plan));
    if (number === 0 && shared.training) losses.push(...scope.losses(), ...hookLosses(scope, plan));
    constants.push(...scope.constants);
    changes.push(...scope.changes);
    for (const name of scope.g.stopped) stopped.add(name);
    return result;
  };
  const graph = rewrite(base.graph ?? {}, true);
  requireAllIn(found, plan);
  const { infos, ...added } = shared.added();
  const model: ModelProto = {
    ...base,
    graph: {
      ...graph,
      initializer: [...(graph.initializer ?? []), ...constants],
      input: [...(graph.input ?? []), ...infos],
    },
  };
  return { model, ...added, changes, stopped, losses };
}

const isWhole = (each: ModuleAdapter): each is WholeParameterAdapter => each.parameter !== undefined;
const isProduct = (each: ModuleAdapter): each is ProductAdapter => each.product !== undefined;

/** The lowerings of a plan: products, replaced parameters and other tuners. */
function loweringsOf(scope: GraphScope, plan: AdapterPlan): Lowering[] {
  const others = plan.filter((each) => !isWhole(each) && !isProduct(each)) as ByTuner[];
  return [
    new ProductLowering(scope, plan.filter(isProduct)),
    new WholeLowering(scope, plan.filter(isWhole)),
    new TunerLowering(scope, others),
  ];
}

function requireAllIn(found: ReadonlySet<NodeProto>, plan: AdapterPlan): void {
  const nodes = plan.flatMap((tuning) => nodesOf(tuning).map((node) => [labelOf(tuning), node] as const));
  const lost = new Set(nodes.flatMap(([path, node]) => (found.has(node) ? [] : [`"${path}"`])));
  if (lost.size === 0) return;
  const shown = [...lost].slice(0, 5).join(', ') + (lost.size > 5 ? ` and ${lost.size - 5} more` : '');
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `The graph has no nodes of ${shown}: what is to be adapted was found in another graph. Find it in the graph that adapters are put into.`,
  );
}
