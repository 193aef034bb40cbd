/** @file Vision Transformers with random weights, named as by torch's TorchScript exporter. */

import type { GraphBuilder, Value } from '@onnx-lora/sdk/tasks';
import { ModelBuilder, type SmallModel } from './modelBuilder.ts';

/** Sizes of a {@link visionTransformer}. */
export interface VisionTransformerSizes {
  /** Features per token; 16 by default. */
  readonly hidden?: number;
  /** Number of layers; 2 by default. */
  readonly layers?: number;
  /** Attention heads, a divisor of `hidden`; 2 by default. */
  readonly heads?: number;
  /** Pixels per side; 8 by default. */
  readonly image?: number;
  /** Pixels per side of a patch, a divisor of `image`; 4 by default. */
  readonly patch?: number;
  /** Number of classes; 3 by default. */
  readonly classes?: number;
  /** Seed of the weights; 1 by default. */
  readonly seed?: number;
}

const defaults: Required<VisionTransformerSizes> = {
  hidden: 16,
  layers: 2,
  heads: 2,
  image: 8,
  patch: 4,
  classes: 3,
  seed: 1,
};

/** A `ViTForImageClassification` of transformers 4: `pixel_values` `[batch, 3, size, size]` → `logits`. */
export function visionTransformer(sizes: VisionTransformerSizes = {}): SmallModel {
  return new Vit({ ...defaults, ...sizes }).model();
}

class Vit {
  readonly #builder: ModelBuilder;
  readonly #sizes: Required<VisionTransformerSizes>;
  #anonymous = 100;

  constructor(sizes: Required<VisionTransformerSizes>) {
    this.#sizes = sizes;
    this.#builder = new ModelBuilder({ seed: sizes.seed });
  }

  get g(): GraphBuilder {
    return this.#builder.g;
  }

  model(): SmallModel {
    const { hidden, layers, classes, image } = this.#sizes;
    const pixels: Value = { name: 'pixel_values', type: 'float32', shape: ['batch', 3, image, image] };
    const batch = this.g.Slice(this.g.Shape(pixels), [0], [1], [0]);
    let x = this.#embeddings(pixels, batch);
    for (let i = 0; i < layers; i++) x = this.#layer(x, batch, `vit.encoder.layer.${i}`);
    const pooled = this.g.emit('Gather', [this.#norm(x, 'vit.layernorm'), this.g.scalar(0, 'int64')], { axis: 1 });
    const [weight, bias] = [
      this.#builder.weight('classifier.weight', [classes, hidden], 0.1),
      this.#builder.weight('classifier.bias', [classes], 0.02),
    ];
    this.g.Gemm(pooled, weight, bias, { transB: true });
    this.#builder.name('/classifier/Gemm', 'logits');
    return this.#builder.model([pixels], [{ name: 'logits', type: 'float32', shape: ['batch', classes] }]);
  }

  get #tokens(): number {
    const { image, patch } = this.#sizes;
    return (image / patch) ** 2 + 1;
  }

  #embeddings(pixels: Value, batch: Value): Value {
    const { g } = this;
    const { hidden, patch } = this.#sizes;
    const path = 'vit.embeddings';
    const kernel = this.#builder.weight(`${path}.patch_embeddings.projection.weight`, [hidden, 3, patch, patch], 0.05);
    const bias = this.#builder.weight(`${path}.patch_embeddings.projection.bias`, [hidden], 0.02);
    const patches = g.emit('Conv', [pixels, kernel, bias], { kernel_shape: [patch, patch], strides: [patch, patch] });
    const flat = g.Reshape(patches, g.Concat([batch, g.ints([hidden, this.#tokens - 1])], 0));
    const token = this.#builder.weight(`${path}.cls_token`, [1, 1, hidden], 1);
    const first = g.Expand(token, g.Concat([batch, g.ints([1, hidden])], 0));
    const positions = this.#builder.weight(`${path}.position_embeddings`, [1, this.#tokens, hidden], 1);
    return g.Add(g.Concat([first, g.Transpose(flat, [0, 2, 1])], 1), positions);
  }

  #layer(x: Value, batch: Value, path: string): Value {
    const { g } = this;
    const { hidden } = this.#sizes;
    const context = this.#attention(this.#norm(x, `${path}.layernorm_before`), batch, `${path}.attention.attention`);
    const middle = g.Add(this.#linear(context, `${path}.attention.output.dense`, hidden, hidden), x);
    const wide = this.#linear(
      this.#norm(middle, `${path}.layernorm_after`),
      `${path}.intermediate.dense`,
      hidden,
      4 * hidden,
    );
    // GELU, as the exporter writes it.
    const active = g.Mul(g.Mul(wide, g.Add(g.Erf(g.Div(wide, Math.SQRT2)), 1)), 0.5);
    return g.Add(this.#linear(active, `${path}.output.dense`, 4 * hidden, hidden), middle);
  }

  #attention(x: Value, batch: Value, path: string): Value {
    const { g } = this;
    const { hidden, heads } = this.#sizes;
    const width = hidden / heads;
    const split = g.Concat([batch, g.ints([this.#tokens, heads, width])], 0);
    const project = (role: string): Value => g.Reshape(this.#linear(x, `${path}.${role}`, hidden, hidden), split);
    const [key, value, query] = [project('key'), project('value'), project('query')];
    // The exporter splits the factor 1/√width between both sides.
    const scores = g.MatMul(
      g.Mul(g.Transpose(query, [0, 2, 1, 3]), width ** -0.25),
      g.Mul(g.Transpose(key, [0, 2, 3, 1]), width ** -0.25),
    );
    const mixed = g.MatMul(g.Softmax(scores, -1), g.Transpose(value, [0, 2, 1, 3]));
    const joined = g.Concat([batch, g.ints([this.#tokens, hidden])], 0);
    return g.Reshape(g.Transpose(mixed, [0, 2, 1, 3]), joined);
  }

  /** x·W + b, with an anonymous W `[width, out]`, since the exporter folds torch's transpose into it. */
  #linear(x: Value, path: string, width: number, out: number): Value {
    const weight = this.#builder.weight(`onnx::MatMul_${this.#anonymous++}`, [width, out], 2 / Math.sqrt(width));
    const product = this.g.MatMul(x, weight);
    // "vit.encoder.layer.0.output.dense" becomes "/vit/encoder/layer.0/output/dense/MatMul".
    this.#builder.name(`/${path.replaceAll(/\.(?!\d)/g, '/')}/MatMul`);
    return this.g.Add(this.#builder.weight(`${path}.bias`, [out], 0.02), product);
  }

  #norm(x: Value, path: string): Value {
    const { hidden } = this.#sizes;
    const scale = this.#builder.weight(`${path}.weight`, [hidden], 0.2, 1);
    const bias = this.#builder.weight(`${path}.bias`, [hidden], 0.02);
    return this.g.emit('LayerNormalization', [x, scale, bias], { axis: -1, epsilon: 1e-12 });
  }
}
