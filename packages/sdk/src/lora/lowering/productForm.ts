/** @file Low-rank products: the part common to training and inference, and inference. */

import type { Value } from '../../graph/builder.ts';
import type { Site } from '../../match/sites.ts';
import type { Factor } from '../kinds/kind.ts';
import { kindOf } from '../kinds/table.ts';
import type { LowRankSite } from '../methods/loraSite.ts';
import type { OutputRole } from '../methods/loraTensors.ts';
import type { ModuleAdapter } from '../methods/moduleAdapter.ts';
import type { GraphScope } from './graphScope.ts';

/** The adapted sites of one occurrence of a layer: the layer, or parts of it. */
export type AdaptedLayer = readonly [Site, ...Site[]];

/** A tuning whose change of a layer is a product. */
export type ProductAdapter = ModuleAdapter & { readonly site: Site; readonly product: LowRankSite };

/** Computes the products of a graph's layers. */
export abstract class ProductForm {
  protected readonly scope: GraphScope;
  readonly #at: ReadonlyMap<Site, ProductAdapter>;
  readonly #wide = new Map<string, Value>();
  readonly #factors = new Map<string, Value>();
  readonly #layerFactors = new Map<string, Value>();

  /** @param at the adapter of each site */
  constructor(scope: GraphScope, at: ReadonlyMap<Site, ProductAdapter>) {
    this.scope = scope;
    this.#at = at;
  }

  /** (x·A)·B of a layer, computed in float32 and cast to the layer's type, as in PEFT. */
  abstract product(layer: AdaptedLayer): Value;

  protected abstract read(role: Factor, tuning: ProductAdapter): Value;

  /** A factor of one site, input of {@link ProductForm.layerFactor}. */
  factor(role: Factor, tuning: ProductAdapter): Value {
    const key = `${role} ${tuning.path}`;
    if (!this.#factors.has(key)) {
      if (tuning.factors) this.#make(tuning, tuning.factors);
      else this.#factors.set(key, this.read(role, tuning));
    }
    return this.#factors.get(key)!;
  }

  /** Emits factors that a tuner computes, in the graph's layout. */
  #make(tuning: ProductAdapter, factors: NonNullable<ModuleAdapter['factors']>): void {
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

  /** DoRA's gain per output of a site's layer, in the layer's type. */
  abstract gain(site: Site): Value;

  /** gain·(product + (x·A)·B), for a product without bias. */
  abstract rescaled(product: Value, layer: AdaptedLayer): Value;

  /** Gain per output of a layer; 1 for outputs of sites without DoRA. */
  protected layerGain(layer: AdaptedLayer): Value {
    const gains = layer.flatMap((site) => (this.tuningAt(site).product.dora ? [this.gain(site)] : []));
    return gains.reduce((product, gain) => this.scope.g.Mul(product, gain));
  }

  protected tuningAt(site: Site): ProductAdapter {
    return this.#at.get(site)!;
  }

  /** The factors of a layer's sites concatenated, so that one product is the sum of theirs. */
  protected layerFactor(role: Factor, layer: AdaptedLayer): Value {
    const key = `${role} ${layer.map(({ path }) => path).join(' ')}`;
    const known = this.#layerFactors.get(key);
    if (known) return known;
    const factors = layer.map((site) => this.wideFactor(role, this.tuningAt(site)));
    const value = factors.length === 1 ? factors[0]! : this.scope.g.Concat(factors, role === 'lora_A' ? -1 : -2);
    this.#layerFactors.set(key, value);
    return value;
  }

  /** A factor of a site, with lora_B as wide as the layer. */
  protected wideFactor(role: Factor, tuning: ProductAdapter): Value {
    return this.factor(role, tuning);
  }

  /** Emits the inputs of B's biases now; the returned function adds them to a product. */
  protected biases(layer: AdaptedLayer): (product: Value) => Value {
    const own = layer.flatMap((site) => {
      const tuning = this.tuningAt(site);
      return tuning.product.bias ? [this.input('lora_B.bias', tuning, this.perOutputDims(site))] : [];
    });
    return (product) => own.reduce((sum, bias) => this.scope.g.Add(sum, bias), product);
  }

  /** Shape of one number per output; undefined if rows may differ. */
  protected perOutputDims(site: Site): readonly number[] | undefined {
    return this.scope.inputs.differs(site) ? undefined : kindOf(site).perOutputShape(site);
  }

  /** An adapter input of a site, picked per row if rows differ, and padded to the layer's outputs except for lora_A. */
  protected input(role: Factor | OutputRole, tuning: ProductAdapter, dims: readonly number[] | undefined): Value {
    const { site } = tuning;
    const { inputs } = this.scope;
    const [differs, isFactor] = [inputs.differs(site), role === 'lora_A' || role === 'lora_B'];
    const value = inputs.input(tuning, role, dims, differs);
    const rank = differs ? 3 : isFactor ? 2 : 1;
    const wide = role === 'lora_A' ? value : this.onOutputs(value, site, rank, role === 'lora_gain' ? 1 : 0);
    return differs ? this.scope.picked(wide) : wide;
  }

  /** Pads the last dimension from a site's outputs to the whole layer's, if the site is a part of one. */
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

/** Factors are banks where the kind of layer allows it, and each row of a batch picks its own. */
export class ProductServing extends ProductForm {
  product(layer: AdaptedLayer): Value {
    const { scope } = this;
    const { g } = scope;
    const [site] = layer;
    const kind = kindOf(site);
    const biased = this.biases(layer);
    const read = scope.read(site.input);
    const source = site.kind === 'embedding' ? read : scope.as(read, 'float32');
    const x = site.arrange ? g.Transpose(source, [...site.arrange.input]) : source;
    const [A, B] = [this.layerFactor('lora_A', layer), this.layerFactor('lora_B', layer)];
    const product = (rows: Value): Value => biased(kind.product(g, site, rows, A, B));
    const value =
      scope.inputs.differs(site) && !this.tuningAt(site).factors
        ? scope.rows.apply(x, scope.fold(site), product)
        : product(x);
    return scope.as(site.arrange ? g.Transpose(value, [...site.arrange.output]) : value, scope.read(site.product).type);
  }

  protected read(role: Factor, tuning: ProductAdapter): Value {
    return this.input(role, tuning, undefined);
  }

  gain(site: Site): Value {
    const gain = this.input('lora_gain', this.tuningAt(site), this.perOutputDims(site));
    return this.scope.as(gain, this.scope.read(site.product).type);
  }

  /** The fed lora_B already includes the gain. */
  rescaled(product: Value, layer: AdaptedLayer): Value {
    return this.scope.g.Add(this.scope.scale(product, this.layerGain(layer), layer[0]), this.product(layer));
  }
}
