/** @file Lowering of tuners: their fragment replaces a layer, or x·ΔWᵀ is added after it. */

import type { Value } from '../../graph/builder.ts';
import { OnnxLoraError } from '../../errors.ts';
import { formatShape } from '../../graph/value.ts';
import type { NodeProto } from '../../graph/proto.ts';
import { lastNode } from '../../match/layers/layer.ts';
import { occurrencesOf, type Site } from '../../match/sites.ts';
import { kindOf } from '../kinds/table.ts';
import type { ByTensor, ChangeOfLayer, ChangeOfWeight, LayerInGraph } from '../tuner.ts';
import type { ByTuner } from '../methods/byTuner.ts';
import type { AdapterPlan } from '../methods/moduleAdapter.ts';
import { weightOf } from '../methods/adaptedLayer.ts';
import { hookedModules } from '../methods/trainingHooks.ts';
import type { Lowering, EmitNode } from './lowering.ts';
import type { GraphScope } from './graphScope.ts';

/** Emits tuners' fragments, the same for all rows of a batch. */
export class TunerLowering implements Lowering {
  readonly replaced: ReadonlyMap<NodeProto, EmitNode>;
  readonly dropped: ReadonlySet<NodeProto>;
  readonly beside: ReadonlyMap<NodeProto, EmitNode> = new Map();
  readonly #scope: GraphScope;

  readonly #losses: Value[] = [];
  /** Latest occurrence of each layer, by its path in PEFT's file. */
  readonly #latest = new Map<string, Site>();

  constructor(scope: GraphScope, tunings: readonly ByTuner[]) {
    this.#scope = scope;
    const places = tunings.flatMap((tuned) => occurrencesOf(tuned.site).map((site) => [site, tuned] as const));
    this.replaced = new Map(
      places.map(([site, tuned]) => {
        const emit: EmitNode =
          'delta' in tuned.math
            ? (original, current) => this.#delta(original, current, site, tuned)
            : () => this.#apply(site, tuned);
        return [lastNode(site), emit];
      }),
    );
    this.dropped = new Set(
      places.flatMap(([site, { math }]) => ('delta' in math ? [] : [...site.nodes, lastNode(site)])),
    );
  }

  losses(): readonly Value[] {
    return this.#losses;
  }

  /** Replaces a layer, computed in float32 and cast to the layer's type. */
  #apply(site: Site, tuned: ByTuner): void {
    const scope = this.#scope;
    const { g } = scope;
    const input = scope.read(site.input);
    const typeOfLayer = scope.read(site.output).type;
    const x = scope.as(input, 'float32');
    const layer: LayerInGraph = {
      x,
      dropped: () => scope.dropped(x, site, tuned.math.dropout),
      forward: (own) => scope.as(scope.forward(site, scope.as(own, input.type)), 'float32'),
      weight: () => this.#weight(site),
      inputOfBase: (path) => scope.as(scope.untouched(scope.inputOf(path)), 'float32'),
      inputGiven: (outputs) => {
        const given = Object.entries(outputs).map(([path, value]) => {
          const output = this.#latest.get(path)?.output ?? path;
          return [output, scope.as(value, scope.read(output).type)] as const;
        });
        return scope.as(scope.given(site.input, new Map(given)), 'float32');
      },
      rowInput: (name) => {
        const { tuner } = tuned.chosen;
        if (!tuner.rowInputs?.includes(name)) throw undeclared(tuner.name, name);
        if (scope.inputs.types.has(name)) return scope.read(name);
        throw new OnnxLoraError(
          'MODEL_UNSUPPORTED',
          `The adapter of "${site.path}" reads "${name}", a number for each example of a batch, and the model has no such input. Take model.withRowInputs(["${name}"]), and give it with the others.`,
        );
      },
      byRow: (product) => {
        const fold = scope.fold(site);
        if (fold.rowAxis !== undefined) return scope.batchRows.apply(x, fold, product);
        throw new OnnxLoraError(
          'MODEL_UNSUPPORTED',
          `"${site.path}" reads a value that has no rows of the batch, and its adapter differs between them. Leave the layer out (excludeModules).`,
        );
      },
      addLoss: (emit) => {
        const { name } = tuned.chosen.tuner;
        if (scope.training && !scope.isMain) throw lostLoss(site, name);
        if (scope.training) this.#losses.push(requireLoss(emit(), name));
      },
      training: scope.training,
    };
    const { apply } = tuned.math as ChangeOfLayer;
    const y = scope.as(apply(g, layer, this.#tensorsOf(tuned)), typeOfLayer);
    scope.nameLast(g.nodes.at(-1)?.output?.[0] === y.name ? y : g.Identity(y), site.output);
    this.#latest.set(tuned.layer.path, site);
  }

  /** y + x·ΔWᵀ, and alike for other kinds of layers, after the last node of one. */
  #delta(original: NodeProto, current: NodeProto, site: Site, tuned: ByTuner): void {
    const scope = this.#scope;
    const { g } = scope;
    const base = scope.emitRenamed(scope.withInputs(original, current), site.output);
    const read = scope.read(site.input);
    const x = site.kind === 'embedding' ? read : scope.dropped(scope.as(read, 'float32'), site, tuned.math.dropout);
    const { arrange } = site;
    const own = arrange ? g.Transpose(x, [...arrange.input]) : x;
    const { delta, biasDelta, readsWeight = false } = tuned.math as ChangeOfWeight;
    const weight = (): Value => weightOf(readsWeight ? this.#weight(site) : undefined, tuned.chosen.tuner);
    const tensors = this.#tensorsOf(tuned);
    const product = kindOf(site).whole!(g, site, own, delta(g, tensors, weight));
    const biased = biasDelta ? g.Add(product, kindOf(site).outputBias(g, site, biasDelta(g, tensors))) : product;
    const more = arrange ? g.Transpose(biased, [...arrange.output]) : biased;
    scope.nameLast(g.Add(base, scope.as(more, scope.read(site.output).type)), site.output);
  }

  /** The base weight in torch's layout. */
  #weight(site: Site): Value {
    const own = this.#scope.weight(site);
    const isTransposed = site.kind === 'linear' && site.weight.layout === 'in-out';
    return isTransposed ? this.#scope.g.Transpose(own, [1, 0]) : own;
  }

  #tensorsOf(tuned: ByTuner): ByTensor<Value> {
    return tuned.inGraph((role, dims) => this.#scope.inputs.input(tuned, role, dims));
  }
}

function undeclared(tuner: string, name: string): OnnxLoraError {
  return new OnnxLoraError(
    'PLUGIN_INVALID',
    `The tuner "${tuner}" reads "${name}" of each example, which it does not say. Give rowInputs: ["${name}"] beside tune.`,
  );
}

function lostLoss({ path }: Site, name: string): OnnxLoraError {
  return new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `"${path}" is inside a branch or a loop of the graph, and the tuner "${name}" adds to the loss there, which cannot be reached from it. Leave the layer out (excludeModules), or the loss (its setting).`,
  );
}

/** @throws OnnxLoraError `PLUGIN_INVALID` */
function requireLoss(loss: Value, name: string): Value {
  if (loss.shape?.length === 0 && loss.type === 'float32') return loss;
  throw new OnnxLoraError(
    'PLUGIN_INVALID',
    `The loss that the tuner "${name}" adds must be a float32 scalar, but it is ${loss.type ?? 'of an unknown type'} of shape ${formatShape(loss.shape)}. Reduce it, as g.ReduceSum does.`,
  );
}

/** Emits loss terms of tuners' hooks into the main graph. @throws OnnxLoraError `PLUGIN_INVALID` if not a scalar */
export function hookLosses({ g, inputs }: GraphScope, plan: AdapterPlan): Value[] {
  return hookedModules(plan).flatMap(({ hooks, tunings, name }) => {
    if (!hooks.loss) return [];
    const modules = tunings.map((each) => ({
      layer: each.layer,
      tensors: each.inGraph((role, dims) => inputs.input(each, role, dims)),
    }));
    return [requireLoss(hooks.loss(g, modules), name)];
  });
}
