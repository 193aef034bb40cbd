/** @file The low-rank product for inference: any rank, one adapter or one per row. */

import type { Value } from '../../graph/builder.ts';
import type { Site } from '../../match/sites.ts';
import type { Factor } from '../kinds/kind.ts';
import { kindOf } from '../kinds/table.ts';
import { type AdaptedLayer, ProductForm, type ProductTuning } from './productForm.ts';

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

  protected read(role: Factor, tuning: ProductTuning): Value {
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
