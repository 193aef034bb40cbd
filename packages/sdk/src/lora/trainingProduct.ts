/** @file The low-rank product as it is trained: few passes over memory, forward and backward. */

import type { GraphBuilder, Value } from '../graph/builder.ts';
import type { Site } from '../match/sites.ts';

/** The sites of one layer that have adapters: it, or parts of it, in one place where it is computed. */
export type AdaptedLayer = readonly [Site, ...Site[]];

/** Where a layer's values come from: factors of all of its sites side by side, a row of lora_B as wide as the layer. */
export interface FactorSource {
  factor(role: 'lora_A' | 'lora_B', layer: AdaptedLayer): Value;
  read(name: string): Value;
}

/**
 * Emits (x·A)·B for training. Layers that read the same value, as queries, keys and values do, share one product with
 * their A's side by side: x is then read once, forward and in both of its gradients.
 */
export class TrainingProduct {
  readonly #g: GraphBuilder;
  readonly #source: FactorSource;
  readonly #bySource = new Map<string, AdaptedLayer[]>();
  /** x·A by layer. */
  readonly #reduced = new Map<AdaptedLayer, Value>();

  /** @param layers where linear layers of one graph are computed */
  constructor(g: GraphBuilder, layers: Iterable<AdaptedLayer>, source: FactorSource) {
    this.#g = g;
    this.#source = source;
    for (const layer of layers) {
      const [{ kind, input, arrange }] = layer;
      if (kind === 'linear' && !arrange) this.#bySource.set(input, [...(this.#bySource.get(input) ?? []), layer]);
    }
  }

  /** (x·A)·B of a linear layer. */
  of(layer: AdaptedLayer): Value {
    return this.#g.MatMul(this.#reduce(layer), this.#source.factor('lora_B', layer));
  }

  #reduce(layer: AdaptedLayer): Value {
    const done = this.#reduced.get(layer);
    if (done) return done;
    const g = this.#g;
    const [{ input }] = layer;
    const layers = this.#bySource.get(input)!;
    const x = this.#source.read(input);
    const factors = layers.map((each) => this.#source.factor('lora_A', each));
    if (layers.length === 1) return g.MatMul(x, factors[0]!);
    const parts = g.Split(
      g.MatMul(x, g.Concat(factors, 1)),
      factors.map(({ shape }) => shape![1] as number),
      (x.shape?.length ?? 1) - 1,
    );
    layers.forEach((each, i) => this.#reduced.set(each, parts[i]!));
    return this.#reduced.get(layer)!;
  }
}
