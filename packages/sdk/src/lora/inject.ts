/** @file Puts adapters into a graph: low-rank products beside layers, graph inputs in place of trained parameters. */

import type { GraphProto, ModelProto, TensorProto } from '../graph/proto.ts';
import { withInner } from '../graph/uniqueNames.ts';
import { refold } from '../match/view.ts';
import { GraphInjection } from './injectGraph.ts';
import { type Injected, Injection, type InjectOptions } from './injection.ts';
import type { AdapterPlan } from './tunings/moduleTuning.ts';

export type { Injected, InjectOptions, RowsApart } from './injection.ts';

/**
 * Injects adapters. The base model is not changed; its nodes are shared with the result where they stay the same.
 */
export function injectAdapters(base: ModelProto, plan: AdapterPlan, options: InjectOptions): Injected {
  const whole = new Injection(base, plan, options);
  const constants: TensorProto[] = [];
  const stopped = new Set<string>();
  let graphs = 0;
  // The values of a Scan's body are not those of the whole batch.
  const rewrite = (graph: GraphProto, holdsBatch: boolean): GraphProto => {
    const number = graphs++;
    const nodes = (graph.node ?? []).map(
      (node) => [node, withInner(node, (inner) => rewrite(inner, holdsBatch && node.opType !== 'Scan'))] as const,
    );
    const injection = new GraphInjection(whole, graph, number === 0 ? 'lora/' : `lora/${number}/`, holdsBatch);
    const result = injection.rewrite(nodes);
    constants.push(...injection.constants);
    for (const name of injection.stopped) stopped.add(name);
    return result;
  };
  const graph = rewrite(base.graph ?? {}, true);
  const { infos, ...added } = whole.added();
  const model: ModelProto = {
    ...base,
    graph: {
      ...graph,
      initializer: [...(graph.initializer ?? []), ...constants],
      input: [...(graph.input ?? []), ...infos],
    },
  };
  return {
    model: whole.training ? model : refold(model),
    ...added,
    stopped,
  };
}
