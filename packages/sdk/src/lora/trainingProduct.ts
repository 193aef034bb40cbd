/** @file The low-rank product as it is trained: few passes over memory, forward and backward. */

import type { GraphBuilder, Value } from '../graph/builder.ts';
import type { Site } from '../match/sites.ts';
import type { LowRank } from './tunings/lowRank.ts';

/** Where a site's value comes from. */
export interface FactorSource {
  factor(role: 'lora_A' | 'lora_B', lowRank: LowRank): Value;
  read(name: string): Value;
}

/**
 * Emits (x·A)·B for training. Sites that read the same value, as queries, keys and values do, share one product with
 * their A's side by side: x is then read once, forward and in both of its gradients.
 */
export class TrainingProduct {
  readonly #g: GraphBuilder;
  readonly #source: FactorSource;
  readonly #bySource = new Map<string, (readonly [Site, LowRank])[]>();
  /** x·A by the place where it is computed. */
  readonly #reduced = new Map<Site, Value>();

  /** @param places where linear layers of one graph are computed, and their adapters */
  constructor(g: GraphBuilder, places: readonly (readonly [Site, LowRank])[], source: FactorSource) {
    this.#g = g;
    this.#source = source;
    for (const place of places) {
      const [{ kind, input, arrange }] = place;
      if (kind === 'linear' && !arrange) this.#bySource.set(input, [...(this.#bySource.get(input) ?? []), place]);
    }
  }

  /** (x·A)·B of a linear layer. */
  of(site: Site, lowRank: LowRank): Value {
    return this.#g.MatMul(this.#reduce(site), this.#source.factor('lora_B', lowRank));
  }

  #reduce(site: Site): Value {
    const done = this.#reduced.get(site);
    if (done) return done;
    const g = this.#g;
    const places = this.#bySource.get(site.input)!;
    const x = this.#source.read(site.input);
    const factors = places.map(([, lowRank]) => this.#source.factor('lora_A', lowRank));
    if (places.length === 1) return g.MatMul(x, factors[0]!);
    const parts = g.Split(
      g.MatMul(x, g.Concat(factors, 1)),
      factors.map(({ shape }) => shape![1] as number),
      (x.shape?.length ?? 1) - 1,
    );
    places.forEach(([each], i) => this.#reduced.set(each, parts[i]!));
    return this.#reduced.get(site)!;
  }
}
