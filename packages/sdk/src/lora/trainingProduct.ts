/** @file The low-rank product as it is trained: few passes over memory, forward and backward. */

import type { GraphBuilder, Value } from '../graph/builder.ts';
import type { LowRankSite } from './plan.ts';

/** Where a site's value comes from. */
export interface FactorSource {
  factor(role: 'lora_A' | 'lora_B', lowRank: LowRankSite): Value;
  read(name: string): Value;
}

/**
 * Emits (x·A)·B for training. Sites that read the same value, as queries, keys and values do, share one product with
 * their A's side by side: x is then read once, forward and in both of its gradients.
 */
export class TrainingProduct {
  readonly #g: GraphBuilder;
  readonly #source: FactorSource;
  readonly #bySource = new Map<string, LowRankSite[]>();
  /** x·A by module path. */
  readonly #reduced = new Map<string, Value>();

  constructor(g: GraphBuilder, sites: readonly LowRankSite[], source: FactorSource) {
    this.#g = g;
    this.#source = source;
    for (const lowRank of sites) {
      if (lowRank.site.kind !== 'linear') continue;
      const { input } = lowRank.site;
      this.#bySource.set(input, [...(this.#bySource.get(input) ?? []), lowRank]);
    }
  }

  /** (x·A)·B of a linear layer. */
  of(lowRank: LowRankSite): Value {
    return this.#g.MatMul(this.#reduce(lowRank), this.#source.factor('lora_B', lowRank));
  }

  #reduce(lowRank: LowRankSite): Value {
    const { path, input } = lowRank.site;
    const done = this.#reduced.get(path);
    if (done) return done;
    const g = this.#g;
    const sites = this.#bySource.get(input)!;
    const x = this.#source.read(input);
    const factors = sites.map((each) => this.#source.factor('lora_A', each));
    if (sites.length === 1) return g.MatMul(x, factors[0]!);
    const parts = g.Split(
      g.MatMul(x, g.Concat(factors, 1)),
      sites.map(({ r }) => r!),
      (x.shape?.length ?? 1) - 1,
    );
    sites.forEach((each, i) => this.#reduced.set(each.site.path, parts[i]!));
    return this.#reduced.get(path)!;
  }
}
