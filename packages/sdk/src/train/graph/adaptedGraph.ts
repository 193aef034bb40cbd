/** @file Injects adapters into the base and prepares the graph for differentiation. */

import { ActiveValues, scalesOfRows, straightThroughDifferences } from '../../autodiff/activeValues.ts';
import { ruleOf } from '../../autodiff/rules.ts';
import type { GraphProto, ModelProto, NodeProto } from '../../graph/proto.ts';
import type { Value } from '../../graph/builder.ts';
import type { ValueType } from '../../graph/value.ts';
import { stoppedValues } from '../../graph/stopGradients.ts';
import { injectAdapters } from '../../lora/inject.ts';
import type { DropoutMask } from '../../lora/adapterInputs.ts';
import type { AdapterInput, AdapterPlan } from '../../lora/methods/moduleAdapter.ts';
import { expandOperators, refold } from '../../match/view.ts';
import { inferGraph, opsetOf } from '../../ops/inferGraph.ts';
import { foldKnownIntegers, inlineKnownBranches, listsAsSlices } from '../../ops/rewrites/simplify.ts';
import type { Feeds } from '../../runtime/tensor.ts';
import { type InnerFragment, replaceInnerValues } from './innerFragments.ts';
import { rewritesWithout, type TrainingRewrite } from './rewrites.ts';

/** The base with adapters, ready to be differentiated. */
export interface AdaptedGraph {
  /** The graph including the adapters' nodes. */
  readonly graph: GraphProto;
  /** Types and shapes by value. */
  readonly types: Map<string, ValueType>;
  /** The adapters' inputs. */
  readonly inputs: readonly AdapterInput[];
  /** The trained inputs. */
  readonly wrt: readonly AdapterInput[];
  /** Loss terms of tuners. */
  readonly losses: readonly Value[];
  /** Values that stop gradients. */
  readonly stopped: ReadonlySet<string>;
  /** Random inputs: dropout masks and noise. */
  readonly masks: readonly DropoutMask[];
}

/** Request of {@link adaptedGraph}. */
export interface AdaptedGraphRequest {
  /** The model without adapters. */
  readonly base: ModelProto;
  /** The adapters' tunings. */
  readonly plan: AdapterPlan;
  /** A batch, which sets the shapes. */
  readonly inputs: Feeds;
  /** Targets of the loss. */
  readonly targets?: Feeds;
  /** Replacements of values inside the graph, by name. */
  readonly inside?: Readonly<Record<string, InnerFragment>>;
  /** Rewrites to skip, in tests; none by default. */
  readonly without?: ReadonlySet<TrainingRewrite>;
}

/** Injects adapters, fuses GELU, expands operators without a gradient rule, and folds shapes. Yields between stages. */
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
  // Decomposed operators are restored where no adapter is; then only those with a gradient are expanded, so that frozen
  // parts keep their exported kernels.
  const adapted = refold(injected.model);
  yield;
  const types = inferGraph(adapted, { shapes });
  const whole = replaceInnerValues(adapted, types, targets, inside);
  yield;
  const wrt = injected.inputs.filter(({ tensor }) => tensor.use === undefined);
  const nodes = whole.graph?.node ?? [];
  const found = [...stoppedValues(nodes), ...straightThroughDifferences(nodes), ...scalesOfRows(nodes)];
  const stopped = new Set([...injected.stopped, ...found]);
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

/** Whether all inputs that need a gradient have a rule: trained tables of RotaryEmbedding have none. */
function isRuled(node: NodeProto, active: ActiveValues): boolean {
  const rule = ruleOf(node);
  if (!Array.isArray(rule)) return rule !== undefined;
  return (node.input ?? []).every((name, i) => rule[i] !== undefined || !active.has(name));
}
