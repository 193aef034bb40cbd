/** @file Builds a drawn network as a graph, with the names that its exporter leaves. */

import { sizeOf, type Value } from '@onnx-lora/sdk/tasks';
import { float32, type Feeds, int64, type Tensor } from '@onnx-lora/sdk';
import { type Attributes, dataTypeNumber, readTensor, type TensorProto, tensorProto } from '@onnx-lora/sdk/plugin';
import { Random } from '@onnx-lora/sdk/data';
import { ModelBuilder, type SmallModel } from '@onnx-lora/testing';
import { toBfloat16, toHalf, toShorts } from '../../packages/sdk/src/runtime/halfFloat.ts';
import { attended } from './attention.ts';
import type { ConvForm, DrawnBlock, DrawnNetwork, LinearForm } from './network.ts';

/** A layer of the network: torch's module path and shape of the weight. */
export interface BuiltLayer {
  readonly path: string;
  readonly kind: 'linear' | 'conv1d' | 'conv2d' | 'convTranspose2d' | 'embedding';
  readonly weightShape: readonly number[];
}

/** A network as a model, a batch for it, and its layers. */
export interface BuiltNetwork {
  readonly model: SmallModel;
  readonly feeds: Feeds;
  readonly layers: readonly BuiltLayer[];
  /** Module paths of norms with a weight. */
  readonly norms: readonly string[];
}

const FEATURES = 5;
const IDS = 11;
const CHANNELS = 4;
const SIDE = 4;
const CLASSES = 3;

const smooth = (form: DrawnBlock['activation']): DrawnBlock['activation'] =>
  form === 'Relu' || form === 'LeakyRelu' || form === 'HardSwish' ? 'Tanh' : form;

/** Builds a network; the same one gives the same graph and numbers. */
export function buildNetwork(drawn: DrawnNetwork): BuiltNetwork {
  const building = new NetworkBuilder(drawn);
  const { batch, length, start, dynamic, seed } = drawn;
  const random = new Random(seed + 1);
  const normal = (...dims: number[]): Tensor => float32(Float32Array.from({ length: sizeOf(dims) }, () => random.normal()), dims); // prettier-ignore
  const ids = (): Tensor =>
    int64(
      Array.from({ length: batch * length }, () => random.index(IDS)),
      [batch, length],
    );
  const x = start === 'image' ? normal(batch, 3, 2 * SIDE, SIDE) : start === 'tokens' ? ids() : normal(batch, length, FEATURES); // prettier-ignore
  const input: Value = { name: 'x', type: x.type, shape: dynamic ? ['batch', ...x.dims.slice(1)] : x.dims };
  const output = building.network(input);
  return { model: building.model(input, output), feeds: { x }, layers: building.layers, norms: building.norms };
}

function inStorage(tensor: TensorProto, storage: DrawnNetwork['storage']): TensorProto {
  const { dims, data } = readTensor(tensor);
  const convert = storage === 'float16' ? toHalf : toBfloat16;
  return tensorProto(tensor.name!, { type: storage, dims, data: toShorts(data as Float32Array, convert) });
}

/** The graph while it grows. */
class NetworkBuilder {
  readonly layers: BuiltLayer[] = [];
  readonly norms: string[] = [];
  readonly #drawn: DrawnNetwork;
  readonly #builder: ModelBuilder;
  #anonymous = 0;

  constructor(drawn: DrawnNetwork) {
    this.#drawn = drawn;
    this.#builder = new ModelBuilder({ opset: drawn.opset, seed: drawn.seed });
  }

  get g(): ModelBuilder['g'] {
    return this.#builder.g;
  }

  get width(): number {
    return this.#drawn.width;
  }

  /** From the model's input to its logits. */
  network(x: Value): Value {
    const { start, blocks } = this.#drawn;
    return start === 'image' ? this.#images(x, blocks) : this.#features(x, blocks);
  }

  model(input: Value, output: Value): SmallModel {
    const [batch, ...rest] = output.shape ?? [];
    const shape = this.#drawn.dynamic ? ['batch', ...rest.map((size) => (size === -1 ? 'length' : size))] : [batch!, ...rest]; // prettier-ignore
    this.g.nodes.at(-1)!.output = ['logits'];
    const model = this.#builder.model([input], [{ name: 'logits', type: 'float32', shape }]);
    const initializer = model.graph.initializer!.map((each) => (this.#short.has(each.name!) ? inStorage(each, this.#drawn.storage) : each)); // prettier-ignore
    return { ...model, graph: { ...model.graph, initializer } };
  }

  #features(x: Value, blocks: readonly DrawnBlock[]): Value {
    const { g, width } = this;
    const { start, head } = this.#drawn;
    const table = start === 'tokens' ? this.weight('tokens.weight', [IDS, width]) : undefined;
    let value = table
      ? this.named('tokens', g.Gather(table, x, 0))
      : this.linear('start', x, FEATURES, width, 'MatMul');
    if (table) this.layers.push({ path: 'tokens', kind: 'embedding', weightShape: [IDS, width] });
    blocks.forEach((each, i) => (value = this.#block(each, `blocks.${i}`, value)));
    if (head === 'tied' && table) {
      const scores = g.MatMul(value, g.Transpose(table, [1, 0]));
      this.name('lm_head');
      return g.Mul(scores, 0.5);
    }
    const rows = head === 'of the mean' ? g.ReduceMean(value, [1], false) : head === 'of the first' ? g.Gather(value, g.scalar(0, 'int64'), 1) : value; // prettier-ignore
    return g.Mul(this.linear('head', rows, width, CLASSES, 'MatMul'), 0.5);
  }

  #block({ kind, linear, attention, norm, activation }: DrawnBlock, path: string, x: Value): Value {
    const { g, width } = this;
    const input = this.norm(norm, `${path}.norm`, x);
    const active = (value: Value): Value => this.activation(activation, value);
    switch (kind) {
      case 'linear':
        return active(this.linear(`${path}.fc`, input, width, width, linear));
      case 'residual':
        return g.Add(x, active(this.linear(`${path}.fc`, input, width, width, linear)));
      case 'mlp': {
        const hidden = active(this.linear(`${path}.fc1`, input, width, width + 4, linear));
        return g.Add(x, this.linear(`${path}.fc2`, hidden, width + 4, width, linear));
      }
      case 'attention':
        return g.Add(x, this.linear(`${path}.attn.out_proj`, attended(this, attention, linear, `${path}.attn`, input), width, width, linear)); // prettier-ignore
      case 'twice': {
        // One module, called on its own output.
        const once = active(this.linear(`${path}.fc`, input, width, width, linear));
        return this.again(`${path}.fc`, once, linear);
      }
      case 'shared': {
        // One module for two inputs that are summed.
        const one = this.linear(`${path}.fc`, input, width, width, linear);
        return g.Add(active(one), this.again(`${path}.fc`, g.Tanh(x), linear));
      }
    }
  }

  #images(x: Value, blocks: readonly DrawnBlock[]): Value {
    const { g } = this;
    let value = this.conv('stem', x, 'strided', 3);
    blocks.forEach(({ conv, imageNorm, activation }, i) => {
      const normed = this.imageNorm(imageNorm, `blocks.${i}.norm`, value);
      value = this.activation(activation, this.conv(`blocks.${i}.conv`, normed, conv, CHANNELS));
    });
    const pooled = g.ReduceMean(value, [2, 3], false);
    return g.Mul(this.linear('head', pooled, CHANNELS, CLASSES, 'Gemm transB'), 0.5);
  }

  /** A linear layer `[..., inputs]` → `[..., outputs]`. */
  linear(path: string, x: Value, inputs: number, outputs: number, form: LinearForm): Value {
    this.layers.push({ path, kind: 'linear', weightShape: [outputs, inputs] });
    this.#linears.set(path, this.#linearWeights(path, inputs, outputs, form));
    return this.again(path, x, form, inputs, outputs);
  }

  readonly #linears = new Map<string, { readonly weight: Value; readonly bias?: Value }>();

  #linearWeights(path: string, inputs: number, outputs: number, form: LinearForm): { weight: Value; bias?: Value } {
    const isTorch = /transposed|transB|first$/.test(form) && form !== 'bias first';
    const name = isTorch || this.#drawn.dialect !== 'torchscript' ? `${path}.weight` : `onnx::MatMul_${100 + this.#anonymous++}`; // prettier-ignore
    const weight = this.stored(name, isTorch ? [outputs, inputs] : [inputs, outputs], 3.5 / Math.sqrt(inputs));
    return form === 'no bias' ? { weight } : { weight, bias: this.weight(`${path}.bias`, [outputs]) };
  }

  /** Another call of a linear layer. */
  again(path: string, x: Value, form: LinearForm, inputs: number = this.width, outputs: number = this.width): Value {
    const { g } = this;
    const { weight, bias } = this.#linears.get(path)!;
    const isGemm = form.startsWith('Gemm');
    const rows = isGemm && x.shape!.length > 2 ? g.Reshape(x, [-1, inputs]) : x;
    const product = (value: Value): Value => this.named(path, value);
    if (isGemm) {
      const transA = form.includes('transA');
      const y = product(g.Gemm(transA ? g.Transpose(rows, [1, 0]) : rows, weight, bias, { transA, transB: form.includes('transB') })); // prettier-ignore
      return rows === x ? y : g.Reshape(y, [...this.#leading(x), outputs]);
    }
    if (form === 'weight first') {
      // (W · xᵀ)ᵀ
      const last = x.shape!.length - 1;
      const swap = [...x.shape!.keys()].map((i) => (i === last ? last - 1 : i === last - 1 ? last : i));
      return g.Add(g.Transpose(product(g.MatMul(weight, g.Transpose(x, swap))), swap), bias!);
    }
    const matrix = form === 'MatMul transposed' ? g.Transpose(weight, [1, 0]) : weight;
    const y = product(g.MatMul(x, matrix));
    if (!bias) return y;
    return form === 'bias first' ? g.Add(bias, y) : g.Add(y, bias);
  }

  /** Sizes for Reshape: of the batch and the positions. */
  #leading(x: Value): number[] {
    return x.shape!.length === 2 ? [-1] : [-1, this.#drawn.length];
  }

  conv(path: string, x: Value, form: ConvForm, inputs: number): Value {
    const { g } = this;
    const out = CHANNELS;
    if (form === 'one axis') {
      this.layers.push({ path, kind: 'conv1d', weightShape: [out, inputs, 3] });
      const [, , height, width] = x.shape as number[];
      const rows = g.Reshape(x, [-1, inputs, height! * width!]);
      const y = this.named(path, g.emit('Conv', [rows, this.weight(`${path}.weight`, [out, inputs, 3]), this.weight(`${path}.bias`, [out])], { pads: [1, 1], kernel_shape: [3] })); // prettier-ignore
      return g.Reshape(y, [-1, out, height!, width!]);
    }
    const group = form === 'grouped' ? 2 : form === 'depthwise' ? inputs : 1;
    const side = form === 'pointwise' ? 1 : form === 'strided' || form === 'transposed' ? 2 : 3;
    const attributes: Attributes = {
      kernel_shape: [side, side],
      group,
      ...(form === 'dilated' ? { dilations: [2, 2], pads: [2, 2, 2, 2] } : side === 3 ? { pads: [1, 1, 1, 1] } : {}),
      ...(form === 'strided' && inputs === 3 ? { strides: [2, 1], pads: [0, 0, 0, 1] } : side === 2 ? { pads: [0, 0, 1, 1] } : {}),
    }; // prettier-ignore
    const isTransposed = form === 'transposed';
    const weightShape = isTransposed ? [inputs, out, side, side] : [out, inputs / group, side, side];
    this.layers.push({ path, kind: isTransposed ? 'convTranspose2d' : 'conv2d', weightShape });
    const bias = form === 'no bias' ? [] : [this.weight(`${path}.bias`, [out])];
    const range = 3.5 / Math.sqrt((inputs / group) * side * side);
    const weights = [this.stored(`${path}.weight`, weightShape, range), ...bias];
    return this.named(path, g.emit(isTransposed ? 'ConvTranspose' : 'Conv', [x, ...weights], isTransposed ? { kernel_shape: [side, side], pads: [0, 0, 1, 1] } : attributes)); // prettier-ignore
  }

  norm(form: DrawnBlock['norm'], path: string, x: Value): Value {
    if (form === 'none') return x;
    this.norms.push(path);
    const { g, width } = this;
    const scale = this.weight(`${path}.weight`, [width], 1, 1);
    const isMeanSquare = form === 'root mean square';
    if (form === 'LayerNormalization' && g.opset >= 17)
      return this.named(path, g.emit('LayerNormalization', [x, scale, this.weight(`${path}.bias`, [width])], { axis: -1 })); // prettier-ignore
    const centred = isMeanSquare ? x : g.Sub(x, g.ReduceMean(x, [-1], true));
    const spread = g.Sqrt(g.Add(g.ReduceMean(g.Mul(centred, centred), [-1], true), 1e-2));
    const y = this.named(path, g.Mul(g.Div(centred, spread), scale));
    return isMeanSquare ? y : this.named(path, g.Add(y, this.weight(`${path}.bias`, [width])));
  }

  imageNorm(form: DrawnBlock['imageNorm'], path: string, x: Value): Value {
    if (form === 'none') return x;
    this.norms.push(path);
    const { g } = this;
    const [scale, shift] = [this.weight(`${path}.weight`, [CHANNELS], 1, 1), this.weight(`${path}.bias`, [CHANNELS])];
    if (form === 'BatchNormalization') {
      const moments = [this.weight(`${path}.running_mean`, [CHANNELS]), this.weight(`${path}.running_var`, [CHANNELS], 0.5, 1)]; // prettier-ignore
      return this.named(path, g.emit('BatchNormalization', [x, scale, shift, ...moments]));
    }
    if (form === 'InstanceNormalization') return this.named(path, g.emit('InstanceNormalization', [x, scale, shift]));
    // The TorchScript exporter's form, with two groups.
    const [, , height, width] = x.shape as number[];
    const ones = [1, 0].map((value) => g.constant(float32([value, value], [2])));
    const normed = g.emit('InstanceNormalization', [g.Reshape(x, [0, 2, -1]), ...ones]);
    const back = g.Reshape(normed, [-1, CHANNELS, height!, width!]);
    const scaled = this.named(path, g.Mul(back, g.Unsqueeze(scale, [1, 2])));
    return this.named(path, g.Add(scaled, g.Unsqueeze(shift, [1, 2])));
  }

  activation(drawn: DrawnBlock['activation'], x: Value): Value {
    const { g } = this;
    const form = this.#isBent ? drawn : smooth(drawn);
    switch (form) {
      case 'none':
        return x;
      case 'gelu in parts':
        return g.Mul(g.Mul(x, g.Add(g.Erf(g.Div(x, Math.SQRT2)), 1)), 0.5);
      case 'silu':
        return g.Mul(x, g.Sigmoid(x));
      case 'Gelu':
        return g.opset >= 20 ? g.emit('Gelu', [x]) : g.emit('Gelu', [x], {}, 'com.microsoft');
      default:
        return g.opset < 14 && form === 'HardSwish' ? g.Tanh(x) : g.emit(form, [x]);
    }
  }

  /** A layer's weight as the file stores it, cast to float32. */
  stored(name: string, dims: readonly number[], range: number): Value {
    const { storage } = this.#drawn;
    const weight = this.weight(name, dims, range);
    if (storage === 'float32') return weight;
    this.#short.add(name);
    return this.g.Cast({ ...weight, type: storage }, dataTypeNumber('float32'));
  }

  /** Whether differences may cross bends: not where ONNX Runtime has no kernel in double precision, so that steps are wide. */
  get #isBent(): boolean {
    const { start, blocks } = this.#drawn;
    return !blocks.some(({ conv, activation }) => activation === 'Gelu' || (start === 'image' && conv === 'one axis'));
  }

  readonly #short = new Set<string>();

  weight(name: string, dims: readonly number[], range = 1, offset = 0): Value {
    return this.#builder.weight(name, dims, range, offset);
  }

  /** Names the node that computed the value after a module. */
  named(path: string, value: Value): Value {
    this.name(path);
    return value;
  }

  /** Names the last node after a module, as the exporter does. */
  name(path: string): void {
    const last = this.g.nodes.at(-1)!;
    const { dialect } = this.#drawn;
    const count = this.g.nodes.length;
    if (dialect === 'torchscript')
      last.name = `/${path.replaceAll('.', '/').replace(/\/(\d+)/g, '.$1').replace(/^(\w+)\.(\d)/, '$1.$2')}/${last.opType!}${this.#repeated(path)}`; // prettier-ignore
    else last.name = `node_${last.opType!}_${count}`;
    if (dialect === 'dynamo') {
      const parts = path.split('.');
      const scopes = ['', ...parts.map((_, i) => parts.slice(0, i + 1).join('.')), `${last.opType!.toLowerCase()}_${count}`]; // prettier-ignore
      last.metadataProps = [{ key: 'pkg.torch.onnx.name_scopes', value: `[${scopes.map((each) => `'${each}'`).join(', ')}]` }]; // prettier-ignore
    }
  }

  readonly #calls = new Map<string, number>();

  #repeated(path: string): string {
    const before = this.#calls.get(path) ?? 0;
    this.#calls.set(path, before + 1);
    return before === 0 ? '' : `_${before}`;
  }
}
