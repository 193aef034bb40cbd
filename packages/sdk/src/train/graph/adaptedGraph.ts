/** @file The base with its adapters in, ready to be differentiated. */

import { ActiveValues, scalesOfRows, straightThroughDifferences } from '../../autodiff/activeValues.ts';
import { ruleOf } from '../../autodiff/rules.ts';
import type { GraphProto, ModelProto, NodeProto } from '../../graph/proto.ts';
import type { Value } from '../../graph/builder.ts';
import type { ValueType } from '../../graph/value.ts';
import { injectAdapters } from '../../lora/inject.ts';
import type { DropoutMask } from '../../lora/adapterInputs.ts';
import type { AdapterInput, AdapterPlan } from '../../lora/methods/tuning.ts';
import { expandOperators, refold } from '../../match/view.ts';
import { inferGraph, opsetOf } from '../../ops/inferGraph.ts';
import { inlineKnownBranches } from '../../ops/rewrites/inlineBranches.ts';
import { listsAsSlices } from '../../ops/rewrites/listsAsSlices.ts';
import { foldKnownIntegers } from '../../ops/rewrites/simplify.ts';
import type { Feeds } from '../../runtime/tensor.ts';
import { type InnerFragment, withInside } from './inside.ts';
import { rewritesWithout, type TrainingRewrite } from './rewrites.ts';

/** The base with its adapters, ready to be differentiated. */
export interface AdaptedGraph {
  /** Its nodes, with those of the adapters. */
  readonly graph: GraphProto;
  /** Types and shapes, by value. */
  readonly types: Map<string, ValueType>;
  /** The inputs that the adapter brings. */
  readonly inputs: readonly AdapterInput[];
  /** Those that are trained. */
  readonly wrt: readonly AdapterInput[];
  /** What tuners add to the loss. */
  readonly losses: readonly Value[];
  /** Values that gradients do not pass. */
  readonly stopped: ReadonlySet<string>;
  /** What says what is left out of a step. */
  readonly masks: readonly DropoutMask[];
}

/** What {@link adaptedGraph} is made from. */
export interface AdaptedGraphRequest {
  /** The model without adapters. */
  readonly base: ModelProto;
  /** Where adapters enter, and of which form. */
  readonly plan: AdapterPlan;
  /** One batch as it will be fed. */
  readonly inputs: Feeds;
  /** What the loss compares outputs with. */
  readonly targets?: Feeds;
  /** What is read in place of values inside the graph, by their names. */
  readonly inside?: Readonly<Record<string, InnerFragment>>;
  /** Rewrites that are left out, in tests; none by default. */
  readonly without?: ReadonlySet<TrainingRewrite>;
}

/** Injects adapters, fuses GELU, takes apart what has no gradient of its own, and folds shapes; may be interrupted between. */
export function* adaptedGraph({
  base,
  plan,
  inputs,
  targets = {},
  inside = {},
  without,
}: AdaptedGraphRequest): Generator<void, AdaptedGraph> {
  const shapes = Object.fromEntries(Object.entries(inputs).map(([name, { dims }]) => [name, dims]));
  const rewritten = rewritesWithout(without).base.reduce((graph, rewrite) => rewrite(graph), base.graph ?? {});
  const fused: ModelProto = { ...base, graph: listsAsSlices(rewritten, opsetOf(base)) };
  const baseTypes = inferGraph(fused, { shapes });
  yield;
  const injected = injectAdapters(fused, plan, { types: baseTypes, mode: 'training' });
  yield;
  // Operators that finding layers took apart are whole again where no adapter is; then only those on the way of a gradient
  // are taken apart: a frozen part keeps the kernels that it was exported for.
  const adapted = refold(injected.model);
  yield;
  const types = inferGraph(adapted, { shapes });
  const whole = withInside(adapted, types, targets, inside);
  yield;
  const wrt = injected.inputs.filter(({ tensor }) => tensor.use === undefined);
  const nodes = whole.graph?.node ?? [];
  const stopped = new Set([...injected.stopped, ...straightThroughDifferences(nodes), ...scalesOfRows(nodes)]);
  const active = new ActiveValues({ types, wrt: wrt.map(({ name }) => name), stopped });
  const expanded = expandOperators(
    { ...whole, graph: inlineKnownBranches(whole.graph ?? {}, types) },
    types,
    (node) => active.visit(node) && !isRuled(node, active),
  );
  yield;
  const graph = foldKnownIntegers(expanded.graph, types);
  yield;
  return { graph, types, inputs: injected.inputs, wrt, losses: injected.losses, stopped, masks: injected.masks };
}

/** Whether there is a rule for all that gradients flow into here: of RotaryEmbedding there is none for trained tables. */
function isRuled(node: NodeProto, active: ActiveValues): boolean {
  const rule = ruleOf(node);
  if (!Array.isArray(rule)) return rule !== undefined;
  return (node.input ?? []).every((name, i) => rule[i] !== undefined || !active.has(name));
}
