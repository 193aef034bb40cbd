/** @file Modules as in torch: a path, its parameters, and the layers that they emit. */

import { float32 } from '@onnx-lora/sdk';
import { dataTypeNumber, float } from '@onnx-lora/sdk/plugin';
import type { Value, GraphBuilder } from '@onnx-lora/sdk/tasks';
import { NORM } from './fused.ts';
import type { Graph } from './graph.ts';
import { requireLayers } from './bounds.ts';

/** Options of a convolution. */
export interface Convolution {
  /** Output channels. */
  readonly out: number;
  /** Kernel size per dimension. */
  readonly kernel: readonly number[];
  /** 1 by default. */
  readonly strides?: readonly number[];
  /** Padding at both ends per dimension; none by default. */
  readonly pads?: readonly number[];
  /** 1 by default. */
  readonly groups?: number;
  /** True by default. */
  readonly bias?: boolean;
  /** A weight that is no checkpoint parameter. */
  readonly weight?: Value;
}

/** A module: a path in the model, and its layers. Layers check parameter shapes against the config. */
export class Module {
  /** Builder of nodes named after the module. */
  readonly g: GraphBuilder;
  /** The module's torch path; empty for the model itself. */
  readonly path: string;
  /** The graph under construction. */
  readonly graph: Graph;

  /** The module at a path of a graph. */
  constructor(graph: Graph, path: string) {
    this.graph = graph;
    this.path = path;
    this.g = graph.builder(path);
  }

  /** The module at a path below this one. */
  at(path: string): Module {
    return new Module(this.graph, this.under(path));
  }

  /** The modules of a list: `layer.0`, `layer.1` … */
  list(path: string, count: number): Module[] {
    requireLayers(count, this.graph.weights.size);
    return Array.from({ length: count }, (_, i) => this.at(`${path}.${i}`));
  }

  /** Whether the graph may use ONNX Runtime's operators. */
  get isFused(): boolean {
    return this.graph.options.form === 'fused';
  }

  /** A path below this module. */
  under(path: string): string {
    return [this.path, path].filter(Boolean).join('.');
  }

  /** Whether the checkpoint has a parameter below this module. */
  has(name: string): boolean {
    return this.graph.weights.has(this.under(name));
  }

  /** A parameter of this shape, as float32. */
  parameter(name: string, dims: readonly number[]): Value {
    return this.graph.parameter(this.under(name), dims);
  }

  /** Lazy float32 read of a parameter, for {@link Module.computed}. */
  numbers(name: string, dims: readonly number[]): () => Float32Array {
    return this.graph.weights.numbers(this.under(name), dims);
  }

  /** A float32 weight computed from parameters on demand. */
  computed(name: string, dims: readonly number[], compute: () => Float32Array): Value {
    return this.graph.computed(this.under(name), dims, compute);
  }

  /** `x·Wᵀ + b` for W `[out, in]`: `[…, in]` → `[…, out]`. */
  linear(name: string, x: Value, out: number, { bias = true }: { readonly bias?: boolean } = {}): Value {
    const m = this.at(name);
    const width = widthOf(x);
    return m.#affine(x, m.g.Transpose(m.parameter('weight', [out, width]), [1, 0]), bias ? out : undefined);
  }

  /** The same with W `[in, out]`, as GPT-2 stores it. */
  conv1d(name: string, x: Value, out: number): Value {
    const m = this.at(name);
    return m.#affine(x, m.parameter('weight', [widthOf(x), out]), out);
  }

  /** `x·Wᵀ` with another module's weight, such as the embedding's. */
  tied(name: string, x: Value, weight: Value, out?: number): Value {
    const m = this.at(name);
    m.graph.weights.use(m.under('weight'));
    return m.#affine(x, m.g.Transpose(weight, [1, 0]), out);
  }

  #affine(x: Value, weight: Value, bias: number | undefined): Value {
    const product = this.g.MatMul(x, weight);
    return bias === undefined ? product : this.g.Add(product, this.parameter('bias', [bias]));
  }

  /** A convolution over `[batch, channels, …]`. */
  conv(
    name: string,
    x: Value,
    { out, kernel, strides, pads, groups = 1, bias = true, weight: given }: Convolution,
  ): Value {
    const m = this.at(name);
    const weight = given ?? m.parameter('weight', [out, Number(x.shape![1]) / groups, ...kernel]);
    return m.g.emit('Conv', [x, weight, bias ? m.parameter('bias', [out]) : undefined], {
      kernel_shape: kernel,
      strides: strides ?? kernel.map(() => 1),
      pads: pads ? [...pads, ...pads] : kernel.map(() => 0).concat(kernel.map(() => 0)),
      group: groups,
    });
  }

  /** `(x − mean) ÷ √(variance + ε) · γ + β` over the last dimension. */
  layerNorm(name: string, x: Value, epsilon: number, { bias = true }: { readonly bias?: boolean } = {}): Value {
    const m = this.at(name);
    const dims = [widthOf(x)];
    const parameters = [m.parameter('weight', dims), bias ? m.parameter('bias', dims) : undefined];
    return m.g.emit('LayerNormalization', [x, ...parameters], { axis: -1, epsilon: float(epsilon) });
  }

  /** Layer norm over the channels of `[batch, channels, height, width]`. */
  channelNorm(name: string, x: Value, epsilon: number): Value {
    const { g } = this.at(name);
    return g.Transpose(this.layerNorm(name, g.Transpose(x, [0, 2, 3, 1]), epsilon), [0, 3, 1, 2]);
  }

  /** Instance norm of `[batch, channels, …]`: per example and channel. */
  instanceNorm(name: string, x: Value, epsilon: number): Value {
    const m = this.at(name);
    const dims = [Number(x.shape![1])];
    const parameters = [m.parameter('weight', dims), m.parameter('bias', dims)];
    return m.g.emit('InstanceNormalization', [x, ...parameters], { epsilon: float(epsilon) });
  }

  /** Group norm of `[batch, channels, …]`: per example and group of channels (Wu and He 2018). */
  groupNorm(name: string, x: Value, groups: number, epsilon: number): Value {
    const m = this.at(name);
    const { g } = m;
    const channels = Number(x.shape![1]);
    const [ones, zeros] = [1, 0].map((value) => g.constant(float32(Array<number>(groups).fill(value), [groups])));
    const flat = g.Reshape(x, [0, groups, -1]);
    const inner = x.shape!.slice(2).map((_, i) => i + 1);
    const normed = g.emit('InstanceNormalization', [flat, ones, zeros], { epsilon: float(epsilon) });
    const [weight, bias] = ['weight', 'bias'].map((each) => g.Unsqueeze(m.parameter(each, [channels]), inner)) as [
      Value,
      Value,
    ];
    return g.Add(g.Mul(g.Reshape(normed, g.Shape(x)), weight), bias);
  }

  /** Batch norm of `[batch, channels, …]` with the running statistics (Ioffe and Szegedy 2015). */
  batchNorm(name: string, x: Value, epsilon: number): Value {
    const m = this.at(name);
    const names = ['weight', 'bias', 'running_mean', 'running_var'];
    const parameters = names.map((each) => m.parameter(each, [Number(x.shape![1])]));
    return m.g.emit('BatchNormalization', [x, ...parameters], { epsilon: float(epsilon) });
  }

  /** RMS norm `x ÷ √(mean of x² + ε) · (γ + plus)`: Zhang and Sennrich 2019; `plus` is 1 in Gemma. */
  rmsNorm(name: string, x: Value, epsilon: number, plus = 0): Value {
    const m = this.at(name);
    const { g } = m;
    const weight = m.parameter('weight', [widthOf(x)]);
    if (m.isFused) {
      const scale = plus === 0 ? weight : g.Add(weight, plus);
      return g.emit(NORM, [x, scale], { axis: -1, epsilon: float(epsilon) });
    }
    const root = g.Sqrt(g.Add(g.ReduceMean(g.Mul(x, x), [-1], true), epsilon));
    return g.Mul(g.Div(x, root), plus === 0 ? weight : g.Add(weight, plus));
  }

  /** Table rows by index: `[…]` → `[…, size]`. */
  embedding(name: string, ids: Value, rows: number, size: number): Value {
    const m = this.at(name);
    return m.g.Gather(m.parameter('weight', [rows, size]), ids, 0);
  }

  /** Casts x to float32. */
  floats(x: Value): Value {
    return this.g.Cast(x, dataTypeNumber('float32'));
  }

  /** Casts x to int64. */
  ints(x: Value): Value {
    return this.g.Cast(x, dataTypeNumber('int64'));
  }

  /** The size of x along an axis, `[1]`. */
  sizeOf(x: Value, axis: number): Value {
    return this.g.Slice(this.g.Shape(x), [axis], [axis + 1], [0]);
  }

  /** Row `index` of the second dimension: `[batch, length, width]` → `[batch, width]`. */
  row(x: Value, index: number): Value {
    return this.g.emit('Gather', [x, this.g.scalar(index, 'int64')], { axis: 1 });
  }

  /** `first … end - 1` with a computed end `[1]`; `first` is a number or `[1]`. */
  range(first: Value | number, end: Value): Value {
    const { g } = this;
    const scalar = (value: Value | number): Value =>
      typeof value === 'number' ? g.scalar(value, 'int64') : g.Squeeze(value, [0]);
    return g.emit('Range', [scalar(first), scalar(end), g.scalar(1, 'int64')]);
  }
}

/** The static last dimension. */
export function widthOf({ name, shape }: Value): number {
  const width = shape?.at(-1);
  if (typeof width === 'number') return width;
  throw new TypeError(`The width of ${name} is not known.`);
}
