/** @file What the product of a layer has in common while it is trained and while it serves. */

import type { Value } from '../../graph/builder.ts';
import type { Site } from '../../match/sites.ts';
import type { Factor } from '../kinds/kind.ts';
import { kindOf } from '../kinds/table.ts';
import type { LowRankSite } from '../methods/loraSite.ts';
import type { ModuleTuning } from '../methods/tuning.ts';
import type { OutputRole } from '../methods/loraTensors.ts';
import type { GraphScope } from './graphScope.ts';

/** The sites of one layer that have adapters: it, or parts of it, in one place where it is computed. */
export type AdaptedLayer = readonly [Site, ...Site[]];

/** A tuning whose change of a layer is a product. */
export type ProductTuning = ModuleTuning & { readonly site: Site; readonly product: LowRankSite };

/** How the products of a graph's layers are computed. */
export abstract class ProductForm {
  protected readonly scope: GraphScope;
  readonly #at: ReadonlyMap<Site, ProductTuning>;
  readonly #wide = new Map<string, Value>();
  readonly #factors = new Map<string, Value>();
  readonly #layerFactors = new Map<string, Value>();

  /** @param at the adapter of each site */
  constructor(scope: GraphScope, at: ReadonlyMap<Site, ProductTuning>) {
    this.scope = scope;
    this.#at = at;
  }

  /** (x·A)·B of a layer. Computed in float32, and given in the layer's own type, as PEFT does. */
  abstract product(layer: AdaptedLayer): Value;

  /** A factor of one site that the graph reads. */
  protected abstract read(role: Factor, tuning: ProductTuning): Value;

  /** A factor of one site, as {@link ProductForm.layerFactor} joins it. */
  factor(role: Factor, tuning: ProductTuning): Value {
    const key = `${role} ${tuning.path}`;
    if (!this.#factors.has(key)) {
      if (tuning.factors) this.#make(tuning, tuning.factors);
      else this.#factors.set(key, this.read(role, tuning));
    }
    return this.#factors.get(key)!;
  }

  /** Emits the factors that a tuner computes, laid out as those that the graph reads. */
  #make(tuning: ProductTuning, factors: NonNullable<ModuleTuning['factors']>): void {
    const { g, inputs } = this.scope;
    const { site, path } = tuning;
    const { A, B } = factors(g, (role, dims) => inputs.input(tuning, role, dims));
    const isMatrix = site.kind === 'linear' || site.kind === 'embedding';
    for (const [role, value] of [
      ['lora_A', A],
      ['lora_B', B],
    ] as const)
      // prettier-ignore
      this.#factors.set(
        `${role} ${path}`,
        isMatrix
          ? g.Transpose(value, [1, 0])
          : g.Reshape(value, kindOf(site).graphShape(site, role, A.shape![0] as number)),
      );
  }

  /** DoRA's factor for each output of a site's layer, in the layer's type. */
  abstract gain(site: Site): Value;

  /** gain·(product + (x·A)·B), where the product has no bias. */
  abstract rescaled(product: Value, layer: AdaptedLayer): Value;

  /** What each output of a layer is multiplied with: one where no site with DoRA has it. */
  protected layerGain(layer: AdaptedLayer): Value {
    const gains = layer.flatMap((site) => (this.tuningAt(site).product.dora ? [this.gain(site)] : []));
    return gains.reduce((product, gain) => this.scope.g.Mul(product, gain));
  }

  /** A site's adapter. */
  protected tuningAt(site: Site): ProductTuning {
    return this.#at.get(site)!;
  }

  /** The factors of a layer's sites side by side, so that one product is the sum of theirs. */
  protected layerFactor(role: Factor, layer: AdaptedLayer): Value {
    const key = `${role} ${layer.map(({ path }) => path).join(' ')}`;
    const known = this.#layerFactors.get(key);
    if (known) return known;
    const factors = layer.map((site) => this.wideFactor(role, this.tuningAt(site)));
    const value = factors.length === 1 ? factors[0]! : this.scope.g.Concat(factors, role === 'lora_A' ? -1 : -2);
    this.#layerFactors.set(key, value);
    return value;
  }

  /** A factor of a site, lora_B as wide as the layer. */
  protected wideFactor(role: Factor, tuning: ProductTuning): Value {
    return this.factor(role, tuning);
  }

  /** The biases of a layer's B's, emitted now; what they make of a product then. */
  protected biases(layer: AdaptedLayer): (product: Value) => Value {
    const own = layer.flatMap((site) => {
      const tuning = this.tuningAt(site);
      return tuning.product.bias ? [this.input('lora_B.bias', tuning, this.perOutputDims(site))] : [];
    });
    return (product) => own.reduce((sum, bias) => this.scope.g.Add(sum, bias), product);
  }

  /** Shape of one number per output; none where each row may bring its own. */
  protected perOutputDims(site: Site): readonly number[] | undefined {
    return this.scope.inputs.differs(site) ? undefined : kindOf(site).perOutputShape(site);
  }

  /** Part of a module's adapter, as the rows of this batch get it; but for lora_A, a number for each output of the layer. */
  protected input(role: Factor | OutputRole, tuning: ProductTuning, dims: readonly number[] | undefined): Value {
    const { site } = tuning;
    const { inputs } = this.scope;
    const [differs, isFactor] = [inputs.differs(site), role === 'lora_A' || role === 'lora_B'];
    const value = inputs.input(tuning, role, dims, differs);
    const rank = differs ? 3 : isFactor ? 2 : 1;
    const wide = role === 'lora_A' ? value : this.onOutputs(value, site, rank, role === 'lora_gain' ? 1 : 0);
    return differs ? this.scope.picked(wide) : wide;
  }

  /**
   * What has a number for each output of a site in its last dimension, for those of the whole layer, where the site is a part
   * of one; `fill` for the others.
   */
  protected onOutputs(value: Value, { part }: Site, rank: number, fill = 0): Value {
    if (!part) return value;
    const known = this.#wide.get(value.name);
    if (known) return known;
    const { g } = this.scope;
    const { first, size, step, count, total } = part;
    // Leading dimensions are copied, so that those of banks stay open.
    const before = Array.from({ length: rank - 1 }, () => 0);
    const runs = count === 1 ? value : g.Reshape(value, [...before, count, size]);
    const lead = count === 1 ? before : [...before, 0];
    const padded = g.Pad(runs, [...lead, first, ...lead, step - first - size], fill);
    const wide = count === 1 ? padded : g.Reshape(padded, [...before, total]);
    this.#wide.set(value.name, wide);
    return wide;
  }
}
