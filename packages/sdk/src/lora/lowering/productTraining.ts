/** @file The low-rank product in training: one adapter, few passes over memory, dropout, constant parts. */

import type { Value } from '../../graph/builder.ts';
import { dataTypeNumber } from '../../graph/dataType.ts';
import type { Site } from '../../match/sites.ts';
import { float32 } from '../../runtime/tensor.ts';
import type { Factor } from '../kinds/kind.ts';
import { kindOf } from '../kinds/table.ts';
import { attentionAround } from '../methods/loraSite.ts';
import { rankAxisOf } from '../methods/loraTensors.ts';
import type { GraphScope } from './graphScope.ts';
import { type AdaptedLayer, ProductForm, type ProductAdapter } from './productForm.ts';

/** In place of the norm 0 of an output without weights, such as a padding token's: its magnitude is 0, and stays so. */
const NO_NORM = 1e-30;

/** Linear layers with one input, such as queries, keys and values, share one product with concatenated A's. */
export class ProductTraining extends ProductForm {
  /** Linear layers by their input. */
  readonly #bySource = new Map<string, AdaptedLayer[]>();
  /** x·A by layer. */
  readonly #reduced = new Map<AdaptedLayer, Value>();

  constructor(scope: GraphScope, at: ReadonlyMap<Site, ProductAdapter>, layers: readonly AdaptedLayer[]) {
    super(scope, at);
    for (const layer of layers) {
      const [{ kind, input, arrange }] = layer;
      if (kind === 'linear' && !arrange && !this.#drops(layer) && !this.tuningAt(layer[0]).sampled)
        this.#bySource.set(input, [...(this.#bySource.get(input) ?? []), layer]);
    }
  }

  product(layer: AdaptedLayer): Value {
    if (!this.#drops(layer)) return this.#productOf(layer, () => this.#source(layer[0]));
    // Each site has its own dropout mask.
    const parts = layer.map((site) => this.#productOf([site], () => this.#dropped(site)));
    return parts.reduce((sum, part) => this.scope.g.Add(sum, part));
  }

  /** The input of a layer's low-rank product, as float32 unless it is ids. */
  #source({ kind, input }: Site): Value {
    const read = this.scope.read(input);
    return kind === 'embedding' ? read : this.scope.as(read, 'float32');
  }

  /** The product for some of a layer's sites. */
  #productOf(layer: AdaptedLayer, sourceOf: () => Value): Value {
    const { scope } = this;
    const { g } = scope;
    const [site] = layer;
    const kind = kindOf(site);
    const biased = this.biases(layer);
    const finished = (value: Value): Value =>
      site.foldedScale ? g.Mul(biased(value), this.#perOutput(site, kind.perOutputShape(site))) : biased(value);
    const source = sourceOf();
    const typeOfLayer = scope.read(site.product).type;
    const tuning = this.tuningAt(site);
    if (this.#bySource.get(site.input)?.includes(layer) && source.name === site.input)
      return scope.as(finished(g.MatMul(this.#reduce(layer), this.layerFactor('lora_B', layer))), typeOfLayer);
    if (tuning.product.tokens) return this.#tokenRows(source, tuning);
    const x = site.arrange ? g.Transpose(source, [...site.arrange.input]) : source;
    const [A, B] = [this.layerFactor('lora_A', layer), this.layerFactor('lora_B', layer)];
    const { sampled } = tuning;
    const drawn = sampled?.(g, x, (role, dims) => scope.inputs.input(tuning, role, dims), (dims) => scope.inputs.noise(site, dims)); // prettier-ignore
    const product = finished(kind.product(g, site, x, A, B));
    const value = drawn ? g.Add(product, drawn) : product;
    return scope.as(site.arrange ? g.Transpose(value, [...site.arrange.output]) : value, typeOfLayer);
  }

  protected read(role: Factor, tuning: ProductAdapter): Value {
    const { g, inputs } = this.scope;
    const { site, r, fixed, constants, tiedTo, tokens, savedAs } = tuning.product;
    const dims = r === undefined ? undefined : kindOf(site).graphShape(site, role, r);
    const own = fixed?.[role]
      ? g.constant(fixed[role])
      : tiedTo && tokens
        ? g.Transpose(this.factor(role === 'lora_A' ? 'lora_B' : 'lora_A', this.tuningAt(tiedTo.site)), [1, 0])
        : inputs.input(tuning, role, dims);
    const differentiated = attentionAround(savedAs) === undefined ? own : this.#halfConstant(own);
    return constants ? g.Concat([differentiated, g.constant(constants[role])], rankAxisOf(site, role)) : differentiated;
  }

  protected override wideFactor(role: Factor, tuning: ProductAdapter): Value {
    const factor = this.factor(role, tuning);
    return role === 'lora_B' ? this.onOutputs(factor, tuning.site, 2) : factor;
  }

  gain(site: Site): Value {
    const { scope } = this;
    const { g } = scope;
    const tuning = this.tuningAt(site);
    const typeOfLayer = scope.read(site.product).type;
    const magnitude = scope.inputs.input(tuning, 'lora_magnitude_vector', this.perOutputDims(site));
    const [A, B] = [this.factor('lora_A', tuning), this.factor('lora_B', tuning)];
    const folded = scope.weight(site);
    const weight = site.foldedScale
      ? g.Div(folded, this.#perOutput(site, [site.foldedScale.length, ...ones(site)]))
      : folded;
    const norm = kindOf(site).adaptedNorm(g, site, weight, A, B);
    const positive = g.Max(g.stopGradient(norm), NO_NORM);
    return scope.as(this.onOutputs(g.Div(magnitude, positive), site, 1, 1), typeOfLayer);
  }

  /** With dropout, as in PEFT, DoRA's part reads the dropped x̃: product + (gain − 1)·x̃·W + gain·(x̃·A)·B. */
  rescaled(product: Value, layer: AdaptedLayer): Value {
    const { scope } = this;
    const { g } = scope;
    if (!this.#drops(layer)) {
      const gain = this.layerGain(layer);
      return scope.scale(g.Add(product, this.product(layer)), gain, layer[0]);
    }
    return layer.reduce((sum, site) => {
      const source = this.#dropped(site);
      const change = this.#productOf([site], () => source);
      if (!this.tuningAt(site).product.dora) return g.Add(sum, change);
      const gain = this.gain(site);
      const base = scope.bareProduct(site, scope.as(source, scope.read(site.input).type));
      const more = g.Add(scope.scale(base, g.Sub(gain, 1), site), scope.scale(change, gain, site));
      return g.Add(sum, more);
    }, product);
  }

  /** x·A of a layer, from the product shared with other layers that read x. */
  #reduce(layer: AdaptedLayer): Value {
    const done = this.#reduced.get(layer);
    if (done) return done;
    const { g } = this.scope;
    const [{ input }] = layer;
    const layers = this.#bySource.get(input)!;
    const x = this.scope.read(input);
    const factors = layers.map((each) => this.layerFactor('lora_A', each));
    if (layers.length === 1) return g.MatMul(x, factors[0]!);
    const parts = g.Split(
      g.MatMul(x, g.Concat(factors, 1)),
      factors.map(({ shape }) => shape![1] as number),
      (x.shape?.length ?? 1) - 1,
    );
    layers.forEach((each, i) => this.#reduced.set(each, parts[i]!));
    return this.#reduced.get(layer)!;
  }

  /** Whether any site of the layer has dropout. */
  #drops(layer: AdaptedLayer): boolean {
    return layer.some((site) => this.tuningAt(site).product.dropout);
  }

  /** The input of a site after dropout. */
  #dropped(site: Site): Value {
    const { dropout, dropoutPattern } = this.tuningAt(site).product;
    return this.scope.dropped(this.#source(site), site, dropout, dropoutPattern);
  }

  /** Deltas of trained rows of a table: each trained id's row, otherwise zero. */
  #tokenRows(ids: Value, tuning: ProductAdapter): Value {
    const { g } = this.scope;
    const { tokens = [] } = tuning.product;
    const type = ids.type === 'int32' ? 'int32' : 'int64';
    const wanted: Value = g.Cast(g.ints(tokens), dataTypeNumber(type));
    const isToken = g.Equal(g.Unsqueeze(ids, [-1]), wanted);
    return g.MatMul(g.Cast(isToken, dataTypeNumber('float32')), this.factor('lora_B', tuning));
  }

  /** The scale of a folded normalisation as a constant. */
  #perOutput(site: Site, dims: readonly number[]): Value {
    return this.scope.g.constant(float32(site.foldedScale!, dims));
  }

  /** The value, with half of it treated as a constant in differentiation. */
  #halfConstant(value: Value): Value {
    const { g } = this.scope;
    const half = g.Mul(value, 0.5);
    return g.Add(half, g.stopGradient(g.Identity(half)));
  }
}

/** A one for each dimension of a weight after the first. */
function ones({ weightShape }: Site): number[] {
  return weightShape.slice(1).map(() => 1);
}
