/** @file What tuners of plugins make of layers: their fragment in place of one, or the product with ΔW behind it. */

import type { Value } from '../../graph/builder.ts';
import { OnnxLoraError } from '../../errors.ts';
import { formatShape } from '../../graph/value.ts';
import type { NodeProto } from '../../graph/proto.ts';
import { lastNode } from '../../match/layers/layer.ts';
import { occurrencesOf, type Site } from '../../match/sites.ts';
import type { AdapterInputs } from '../adapterInputs.ts';
import { kindOf } from '../kinds/table.ts';
import type { ByTensor, ChangeOfLayer, ChangeOfWeight, LayerInGraph } from '../tuner.ts';
import { type ByTuner, weightOf } from '../tunings/byTuner.ts';
import { hookedTunings } from '../tunings/trainingHooks.ts';
import type { Emission, EmitNode } from './emission.ts';
import type { GraphScope } from './graphScope.ts';

/** Emits what tuners write, the same for all rows of a batch. */
export class TunerEmission implements Emission {
  readonly replaced: ReadonlyMap<NodeProto, EmitNode>;
  readonly dropped: ReadonlySet<NodeProto>;
  readonly beside: ReadonlyMap<NodeProto, EmitNode> = new Map();
  readonly #scope: GraphScope;

  readonly #tunings: readonly ByTuner[];

  constructor(scope: GraphScope, tunings: readonly ByTuner[]) {
    this.#scope = scope;
    this.#tunings = tunings;
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
    const { g, inputs } = this.#scope;
    return hookedTunings(this.#tunings).flatMap(({ hooks, tunings, name }) => {
      if (!hooks.loss) return [];
      const loss = hooks.loss(
        g,
        tunings.map((each) => ({ layer: each.layer, tensors: tunerInputs(inputs, each) })),
      );
      if (loss.shape?.length === 0 && loss.type === 'float32') return [loss];
      throw new OnnxLoraError(
        'PLUGIN_INVALID',
        `The loss that the tuner "${name}" adds must be a float32 scalar, but it is ${loss.type ?? 'of an unknown type'} of shape ${formatShape(loss.shape)}. Reduce it, as g.ReduceSum does.`,
      );
    });
  }

  /** What a tuner makes of a layer, computed in float32 and given in the layer's own type. */
  #apply(site: Site, tuned: ByTuner): void {
    const scope = this.#scope;
    const { g } = scope;
    const input = scope.read(site.input);
    const typeOfLayer = scope.read(site.output).type;
    const layer: LayerInGraph = {
      x: scope.as(input, 'float32'),
      forward: (x) => scope.as(scope.forward(site, scope.as(x, input.type)), 'float32'),
      weight: () => this.#weight(site),
      training: scope.training,
    };
    const { apply } = tuned.math as ChangeOfLayer;
    const y = scope.as(apply(g, layer, this.#tensorsOf(tuned)), typeOfLayer);
    scope.nameLast(g.nodes.at(-1)?.output?.[0] === y.name ? y : g.Identity(y), site.output);
  }

  /** y + x·ΔWᵀ, and alike for other kinds of layers, behind the last node of one. */
  #delta(original: NodeProto, current: NodeProto, site: Site, tuned: ByTuner): void {
    const scope = this.#scope;
    const { g } = scope;
    const base = scope.emitRenamed(scope.withInputs(original, current), site.output);
    const { delta, readsWeight = false } = tuned.math as ChangeOfWeight;
    const read = scope.read(site.input);
    const x = site.kind === 'embedding' ? read : scope.as(read, 'float32');
    const { arrange } = site;
    const change = delta(g, this.#tensorsOf(tuned), () =>
      weightOf(readsWeight ? this.#weight(site) : undefined, tuned.chosen.tuner),
    );
    const product = kindOf(site).whole!(g, site, arrange ? g.Transpose(x, [...arrange.input]) : x, change);
    const more = arrange ? g.Transpose(product, [...arrange.output]) : product;
    scope.nameLast(g.Add(base, scope.as(more, scope.read(site.output).type)), site.output);
  }

  /** The base's weight as torch lays it out. */
  #weight(site: Site): Value {
    const own = this.#scope.weight(site);
    const isTransposed = site.kind === 'linear' && site.weight.layout === 'in-out';
    return isTransposed ? this.#scope.g.Transpose(own, [1, 0]) : own;
  }

  #tensorsOf(tuned: ByTuner): ByTensor<Value> {
    return tunerInputs(this.#scope.inputs, tuned);
  }
}

/** A tuner's tensors, by its own names of them. States are inputs only where they are read. */
function tunerInputs(inputs: AdapterInputs, tuned: ByTuner): ByTensor<Value> {
  const tensors: Record<string, Value> = {};
  for (const [role, { dims, role: use }] of Object.entries(tuned.math.tensors)) {
    const input = (): Value => inputs.input(tuned, role, dims);
    if (use === 'state') Object.defineProperty(tensors, role, { get: input, enumerable: true });
    else tensors[role] = input();
  }
  return tensors;
}
