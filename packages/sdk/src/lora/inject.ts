/** @file Puts adapters into a graph: low-rank products beside layers, graph inputs in place of trained parameters. */

import { OnnxLoraError } from '../errors.ts';
import type { Value } from '../graph/builder.ts';
import type { GraphProto, ModelProto, NodeProto, TensorProto } from '../graph/proto.ts';
import { withInner } from '../graph/uniqueNames.ts';
import { refold } from '../match/view.ts';
import type { ValueType } from '../graph/value.ts';
import { AdapterInputs, type DropoutMask, type RowsApart } from './adapterInputs.ts';
import { GraphScope } from './emission/graphScope.ts';
import type { AdapterInput, AdapterPlan } from './tunings/moduleTuning.ts';

/** How the injected graph will be used. */
export interface InjectOptions {
  /** Types of the base graph's values. */
  readonly types: ReadonlyMap<string, ValueType>;
  /**
   * `training`: ranks are fixed and shapes static, for one adapter. `inference`: inputs that may differ between rows of a
   * batch take a bank, tensors of several adapters stacked along a first dimension; {@link Injected.rows} says which of them
   * each row gets. Ranks are any; r = 0 switches an adapter off. `single`: as `inference`, for one adapter at a time.
   */
  readonly mode: 'training' | 'inference' | 'single';
}

/** A graph with adapters, and the inputs through which they come. */
export interface Injected {
  /** The graph. */
  readonly model: ModelProto;
  /** The inputs that adapters bring. */
  readonly inputs: readonly AdapterInput[];
  /**
   * Name of the int64 input that picks from a bank: `[]` with the place of one adapter for the whole batch, or `[batch]` with
   * one for each row. Absent where nothing can differ between rows.
   */
  readonly rows?: string;
  /** Name of the model's input whose first dimension counts the rows of a batch. */
  readonly batchInput: string;
  /** Path of a layer for which `rows` may only be `[]`, since it is adapted and reads what has no rows. */
  readonly apart?: string;
  /** How rows that differ are computed in several runs. */
  readonly rowsApart: () => RowsApart;
  /** Values that gradients do not pass. */
  readonly stopped: ReadonlySet<string>;
  /** Float scalars of a graph for training that are added to the loss. */
  readonly losses: readonly Value[];
  /** Inputs of a graph for training that say what is left out of a step. */
  readonly masks: readonly DropoutMask[];
}

/**
 * Injects adapters. The base model is not changed; its nodes are shared with the result where they stay the same.
 *
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for a plan of another graph, whose layers this one does not have
 */
export function injectAdapters(base: ModelProto, plan: AdapterPlan, options: InjectOptions): Injected {
  const shared = new AdapterInputs(base, plan, options);
  const constants: TensorProto[] = [];
  const stopped = new Set<string>();
  const found = new Set<NodeProto>();
  const losses: Value[] = [];
  let graphs = 0;
  // The values of a Scan's body are not those of the whole batch.
  const rewrite = (graph: GraphProto, holdsBatch: boolean): GraphProto => {
    const number = graphs++;
    for (const node of graph.node ?? []) found.add(node);
    const nodes = (graph.node ?? []).map(
      (node) => [node, withInner(node, (inner) => rewrite(inner, holdsBatch && node.opType !== 'Scan'))] as const,
    );
    const scope = new GraphScope(shared, plan, graph, number === 0 ? 'lora/' : `lora/${number}/`, holdsBatch);
    const result = scope.rewrite(nodes);
    if (number === 0 && shared.training) losses.push(...scope.losses());
    constants.push(...scope.constants);
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
  return {
    model: shared.training ? model : refold(model),
    ...added,
    stopped,
    losses,
  };
}

function requireAllIn(found: ReadonlySet<NodeProto>, plan: AdapterPlan): void {
  const nodes = plan.flatMap((tuning) => tuning.nodes().map((node) => [tuning.label, node] as const));
  const lost = new Set(nodes.flatMap(([path, node]) => (found.has(node) ? [] : [`"${path}"`])));
  if (lost.size === 0) return;
  const shown = [...lost].slice(0, 5).join(', ') + (lost.size > 5 ? ` and ${lost.size - 5} more` : '');
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `The graph has no nodes of ${shown}: what is to be adapted was found in another graph. Find it in the graph that adapters are put into.`,
  );
}
