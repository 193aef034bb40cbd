/**
 * @file Draws small models at random, for the test of training graphs against finite differences. A model is a list of steps;
 * each makes a value `[batch, length, width]` of two earlier ones, and unread values are summed in the end. So values are read
 * several times, added to themselves, and carried past layers.
 *
 * Sizes are drawn on both sides of the thresholds between two ways to compute:
 *
 * | size                                                | where                                                      |
 * | --------------------------------------------------- | ---------------------------------------------------------- |
 * | 64 features, from which a product takes an addend   | `SHORT_PRODUCT` in `ops/rewrites/gradientNodes.ts`         |
 * | 24 numbers of a head with rotary positions          | `NARROWEST` in `train/forward/fuseRotary.ts`               |
 * | 256 numbers of a head                               | `WIDEST_HEAD` in `autodiff/rules.ts`                       |
 * | 1e30, which a mask adds                             | `SWALLOWS` in `train/forward/addMasks.ts`                  |
 * | scores twice as large as their operands | `regionOf` in `train/forward/chunkAttention.ts` |
 * | a mask of half of the scores                        | `addMasks.ts`                              |
 * | 64 numbers of constants that are compared           | `SMALL` in `train/forward/commonSubexpressions.ts`                   |
 * | 16 numbers of constants that a builder shares       | `GraphBuilder.constant`                                    |
 * | 16 channels of a convolution, 9 places of its kernel | `convWeight` in `autodiff/images/conv.ts`                 |
 * | one row of a batch, one position, rank 1            | `gatherFirst.ts`, `narrow.ts`, `gradientNodes.ts`          |
 * | bytes of forward values                             | `train/forward/planMemory.ts`, by the option `memory`      |
 * | rows of a piece                                     | `LIMITS` in `train/step/microBatch.ts`, by `pieceRows`     |
 * | a share of the forward pass                         | `LEAST_SHARE` in `train/prefix/split.ts`, by `leastShare`  |
 * | numbers of a weight                                 | `SMALLEST` in `ops/precision/frozenProducts.ts`, by an option |
 * | opsets 13, 18 and 21                                | `GraphBuilder`, `softmaxAxes` in `autodiff/rules.ts`       |
 */

import fc from 'fast-check';
import type { GraphBuilder, Value } from '../../packages/sdk/src/graph/builder.ts';
import { dataTypeNumber } from '../../packages/sdk/src/graph/dataType.ts';
import { Random } from '../../packages/sdk/src/runtime/random.ts';
import { type Feeds, float32, int64, sizeOf, type Tensor } from '../../packages/sdk/src/runtime/tensor.ts';
import { ModelBuilder, type SmallModel } from '../../packages/testing/src/models/modelBuilder.ts';
import type { LossFragment } from '../../packages/sdk/src/train/graph/addLoss.ts';

/** A step: its operator, its operands counted back from the last value, and one of its forms. */
interface DrawnStep {
  readonly op: StepName;
  readonly a: number;
  readonly b: number;
  readonly form: number;
}

/** Description of a random model. */
export interface DrawnModel {
  readonly opset: number;
  readonly batch: number;
  readonly length: number;
  readonly width: number;
  readonly start: 'floats' | 'ids' | 'image';
  readonly steps: readonly DrawnStep[];
  readonly end: (typeof ends)[number];
  readonly classes: number;
  /** Whether attention hides all of the last example. */
  readonly hides: boolean;
  readonly seed: number;
}

/** A model, one batch, and the loss of it. */
export interface RandomModel {
  readonly model: SmallModel;
  readonly inputs: Feeds;
  readonly targets: Feeds;
  readonly loss: LossFragment;
  /** Whether the loss of a batch is the mean of its rows'. */
  readonly isMean: boolean;
}

const ends = ['all', 'first', 'last', 'mean', 'rows'] as const;
const FEATURES = 5;
const IDS = 11;

/** Models that shrink to fewer steps, of smaller sizes. */
export function drawnModels(): fc.Arbitrary<DrawnModel> {
  const step = fc.record({
    op: fc.constantFrom<StepName>(...(Object.keys(steps) as StepName[]), 'attention', 'attention', 'around', 'around'),
    a: fc.nat(3),
    b: fc.nat(5),
    form: fc.nat(47),
  });
  return fc.record({
    opset: fc.constantFrom(17, 18, 13, 21),
    batch: fc.constantFrom(1, 2, 3),
    length: fc.constantFrom(1, 2, 6, 20),
    width: fc.constantFrom(8, 6, 16, 63, 64, 72),
    start: fc.constantFrom('floats', 'ids', 'image'),
    steps: fc.array(step, { minLength: 1, maxLength: 7 }),
    end: fc.constantFrom(...ends),
    classes: fc.constantFrom(1, 3, 64),
    hides: fc.boolean(),
    seed: fc.nat(1000),
  });
}

/** Builds a drawn model. The same one gives the same graph and numbers. */
export function randomModel(drawn: DrawnModel): RandomModel {
  const { batch, length, width, start, classes, end, hides, seed } = drawn;
  const random = new Random(seed);
  const normal = (...dims: number[]): Tensor => float32(Float32Array.from({ length: sizeOf(dims) }, () => random.normal()), dims); // prettier-ignore
  const whole = (below: number, ...dims: number[]): Tensor => int64(Array.from({ length: sizeOf(dims) }, () => random.index(below)), dims); // prettier-ignore
  const seen = (i: number): boolean =>
    !(hides && i >= (batch - 1) * length) && (i % length === 0 || random.next() < 0.6);
  const mask = int64(Array.from({ length: batch * length }, (_, i) => Number(seen(i))), [batch, length]); // prettier-ignore
  const x = { floats: normal(batch, length, FEATURES), ids: whole(IDS, batch, length), image: normal(batch, 3, 2, 2 * length) }[start]; // prettier-ignore
  const m = new Building(drawn);
  const { g } = m;
  const ports = Object.entries({ x, mask }).map(([name, { type, dims }]): Value => ({ name, type, shape: ['batch', ...dims.slice(1)] })); // prettier-ignore
  const [first] = ports as [Value, Value];
  m.mask = ports[1]!;
  const values = [m.start(start, first)];
  for (const { op, a, b, form } of drawn.steps) {
    const operands = [a, b].map((back) => values[values.length - 1 - (back % values.length)]!) as [Value, Value];
    values.push(steps[op](m, ...operands, form));
  }
  const read = new Set(g.nodes.flatMap(({ input }) => input!));
  const sum = values.filter(({ name }) => !read.has(name)).reduce((one, other) => g.Add(one, other));
  const at = (index: number): Value => g.Gather(sum, g.scalar(index, 'int64'), 1);
  const taken =
    end === 'first' ? at(0) : end === 'last' ? at(-1) : end === 'mean' ? g.ReduceMean(sum, [1], false) : sum;
  const head = m.linear(taken, 'head', width, classes, drawn.seed);
  const y = g.Mul(head, 0.5);
  m.rename('y');
  const shape = ['batch', ...(end === 'all' || end === 'rows' ? [length] : []), classes];
  const isUsed = g.nodes.some(({ input }) => input!.includes('mask'));
  const model = m.model(isUsed ? ports : [first], [{ ...y, name: 'y', shape }]);
  const picked = Math.max(1, Math.floor((batch * length) / 2));
  const targets: Feeds =
    end === 'rows'
      ? { rows: whole(batch * length, picked), weights: normal(picked, classes) }
      : { weights: normal(batch, ...(shape.slice(1) as number[])) };
  const loss: LossFragment = (builder, outputs, { rows, weights }) => {
    const all = outputs['y']!;
    const own = rows ? builder.Gather(builder.Reshape(all, [-1, classes]), rows, 0) : all;
    return builder.ReduceMean(builder.Mul(own, weights!), weights!.shape!.map((_, i) => i), false); // prettier-ignore
  };
  return { model, inputs: isUsed ? { x, mask } : { x }, targets, loss, isMean: end !== 'rows' };
}

/** A model as it grows: layers with weights of names and sizes of their own. */
class Building {
  readonly #builder: ModelBuilder;
  readonly length: number;
  readonly width: number;
  mask!: Value;
  readonly hides: boolean;
  #layers = 0;

  constructor({ opset, seed, length, width, hides }: DrawnModel) {
    this.hides = hides;
    this.#builder = new ModelBuilder({ opset, seed });
    this.length = length;
    this.width = width;
  }

  get g(): GraphBuilder {
    return this.#builder.g;
  }

  model(inputs: readonly Value[], outputs: readonly Value[]): SmallModel {
    return this.#builder.model(inputs, outputs);
  }

  rename(output: string): void {
    this.#builder.name(`/out/${output}`, output);
  }

  weight(name: string, dims: readonly number[], range = 2, offset = 0): Value {
    return this.#builder.weight(name, dims, range, offset);
  }

  /** The model's input as `[batch, length, width]`. */
  start(start: DrawnModel['start'], x: Value): Value {
    const { g, width, length } = this;
    if (start === 'floats') return this.linear(x, 'start', FEATURES, width, 0);
    if (start === 'ids') {
      const rows = g.Gather(this.weight('start.weight', [IDS, width]), x, 0);
      this.#builder.name('/start/Gather');
      return rows;
    }
    const patches = this.conv(x, [width, 3, 2, 2], { strides: [2, 2] });
    return g.Transpose(g.Reshape(patches, [-1, width, length]), [0, 2, 1]);
  }

  conv(x: Value, dims: readonly number[], attributes: Readonly<Record<string, number | readonly number[]>>): Value {
    const name = `conv${this.#layers++}`;
    const range = 3.5 / Math.sqrt(sizeOf(dims.slice(1)));
    const inputs = [x, this.weight(`${name}.weight`, dims, range), this.weight(`${name}.bias`, [dims[0]!])];
    const y = this.g.emit('Conv', inputs, attributes);
    this.#builder.name(`/${name}/Conv`);
    return y;
  }

  /** A linear layer as exporters write it: a product with a bias behind it or without, or Gemm over all rows. */
  linear(x: Value, name = `fc${this.#layers++}`, inputs = this.width, outputs = this.width, form = 0): Value {
    const { g } = this;
    const range = 3.5 / Math.sqrt(inputs);
    if (form % 3 === 2) {
      const bias = this.weight(`${name}.bias`, [outputs]);
      const rows = x.shape!.length === 2 ? x : g.Reshape(x, [-1, inputs]);
      const y = g.Gemm(rows, this.weight(`${name}.weight`, [outputs, inputs], range), bias, { transB: true });
      this.#builder.name(`/${name}/Gemm`);
      return rows === x ? y : g.Reshape(y, [-1, this.length, outputs]);
    }
    const product = g.MatMul(x, this.weight(`${name}.matrix`, [inputs, outputs], range));
    this.#builder.name(`/${name}/MatMul`);
    if (form % 3 === 0) return product;
    return g.Add(product, this.weight(`${name}.bias`, [outputs]));
  }

  /** `[batch, heads, length, size]` of `[batch, length, heads · size]`. */
  heads(x: Value, heads: number, size: number): Value {
    return this.g.Transpose(this.g.Reshape(x, [-1, this.length, heads, size]), [0, 2, 1, 3]);
  }

  /** x with one number per head turned by its position. */
  rotated(x: Value, size: number): Value {
    const { g, length } = this;
    const tables = [Math.cos, Math.sin].map(
      (f) =>
      g.constant(float32(Array.from({ length: length * size }, (_, i) => f(1 + Math.floor(i / size) * (1 + (i % (size / 2))))), [1, 1, length, size])), // prettier-ignore
    );
    const half = (at: 0 | 1): Value => g.Slice(x, [(at * size) / 2], [((at + 1) * size) / 2], [3]);
    const turned = g.Concat([g.Neg(half(1)), half(0)], 3);
    return g.Add(g.Mul(x, tables[0]!), g.Mul(turned, tables[1]!));
  }

  /** Weights of attention for scores `[batch, heads, length, length]`. */
  attend(scores: Value, form: number): Value {
    const { g } = this;
    // Entirely masked rows have weights only if a guard gives them, or if Where makes them equal.
    if (form === 0 || (form > 3 && this.hides && this.length === 1)) return g.Softmax(scores, -1);
    const hidden = g.Unsqueeze(g.Not(g.Cast(this.mask, dataTypeNumber('bool'))), [1, 2]);
    const fills = [-1e9, -1e38, this.hides ? -3.4e38 : -Infinity];
    if (form < 4) return g.Softmax(g.Where(hidden, g.scalar(fills[form - 1]!), scores), -1);
    const weights = g.Softmax(g.Add(scores, g.Where(hidden, g.scalar(-Infinity), 0)), -1);
    const isGuarded = form > 4 || this.hides;
    return isGuarded ? g.Where(g.emit('IsNaN', [weights]), g.scalar(0), weights) : weights;
  }
}

type Step = (m: Building, a: Value, b: Value, form: number) => Value;

// prettier-ignore
/** Kinds of steps. */
type StepName =
  | 'linear' | 'add' | 'double' | 'around' | 'gate' | 'scale' | 'activation' | 'choose' | 'mlp' | 'norm' | 'attention'
  | 'packed' | 'concat' | 'mixed' | 'conv' | 'rows' | 'broadcast' | 'twice' | 'reshape' | 'transpose' | 'pad';

const activations: readonly ((g: GraphBuilder, x: Value) => Value)[] = [
  (g, x) => g.Tanh(x),
  (g, x) => g.Relu(x),
  (g, x) => g.Sigmoid(x),
  (g, x) => g.Softplus(x),
];

const steps: Readonly<Record<StepName, Step>> = {
  linear: (m, a, _, form) => m.linear(a, undefined, m.width, m.width, form),
  add: ({ g }, a, b) => g.Add(a, b),
  double: ({ g }, a) => g.Add(a, a),
  /** a + (a + f(a)) · W */
  around: (m, a, b, form) => m.g.Add(a, m.linear(m.g.Add(a, m.g.Tanh(b)), undefined, m.width, m.width, form)),
  gate: ({ g }, a, b) => g.Mul(a, g.Sigmoid(b)),
  scale: ({ g }, a, _, form) => g.Mul(a, [0.5, -1.25, 1][form % 3]!),
  activation: ({ g }, a, _, form) => activations[form % 4]!(g, a),
  choose: ({ g }, a, b, form) =>
    form % 2 === 0 ? g.Max(a, g.Mul(b, 0.5)) : g.Where(g.Greater(a, b), g.Mul(a, 0.5), b),
  mlp: (m, a, _, form) => {
    const { g } = m;
    const hidden = [12, 64, 70][form % 3]!;
    const x = m.linear(a, undefined, m.width, hidden, form);
    const inner = (form >> 2) % 3;
    // GELU, as exporters write it.
    const gelu = (): Value => g.Mul(g.Mul(x, g.Add(g.Erf(g.Div(x, Math.SQRT2)), 1)), 0.5);
    const active = inner === 0 ? gelu() : inner === 1 ? g.Mul(x, g.Sigmoid(x)) : g.Relu(x);
    return m.linear(active, undefined, hidden, m.width, form >> 1);
  },
  norm: (m, a, _, form) => {
    const { g, width } = m;
    const scale = m.weight(`norm${g.nodes.length}`, [width], 1, 1);
    if (form % 3 === 0 && g.opset >= 17) return g.emit('LayerNormalization', [a, scale, m.weight(`shift${g.nodes.length}`, [width])], { axis: -1 }); // prettier-ignore
    const centred = form % 3 === 1 ? g.Sub(a, g.ReduceMean(a, [-1], true)) : a;
    const spread = g.Sqrt(g.Add(g.ReduceMean(g.Mul(centred, centred), [-1], true), 1e-2));
    return g.Mul(g.Div(centred, spread), scale);
  },
  attention: (m, a, b, form) => {
    const { g, length } = m;
    const size = [8, 24, 32][form % 3]!;
    // A single head, wider than the limit of sums over heads.
    const [heads, wide] = form % 12 === 11 ? [1, 260] : [2, size];
    const [q, k, v] = [[a, size], [b, size], [b, wide]].map(([x, each], i) => m.heads(m.linear(x as Value, undefined, m.width, heads * (each as number), form + i), heads, each as number)) as [Value, Value, Value]; // prettier-ignore
    const [turnedQ, turnedK] = form % 2 === 0 ? [q, k] : [m.rotated(q, size), m.rotated(k, size)];
    const keys = g.Transpose(turnedK, [0, 1, 3, 2]);
    const factor = 1 / Math.sqrt(size);
    const scores = form % 4 < 2 ? g.MatMul(g.Mul(turnedQ, factor), keys) : g.Mul(g.MatMul(turnedQ, keys), factor);
    const once = m.attend(scores, form % 7);
    const isSquared = form % 6 === 4 && !(m.hides && form % 7 > 3);
    const weights = isSquared ? g.MatMul(once, once) : once;
    const context = g.Reshape(g.Transpose(g.MatMul(weights, v), [0, 2, 1, 3]), [-1, length, heads * wide]);
    return m.linear(context, undefined, heads * wide, m.width, form >> 3);
  },
  /** Queries, keys and values of one product, taken apart. */
  packed: (m, a, _, form) => {
    const { g, width, length } = m;
    const x = m.linear(a, undefined, width, 3 * width, form);
    const parts = (): Value[] => {
      const of = [0, 1, 2];
      if (form % 4 === 0) return of.map((i) => g.Slice(x, [i * width], [(i + 1) * width], [2]));
      if (form % 4 === 1) return g.Split(x, [width, width, width], 2);
      if (form % 4 === 2) {
        const list = g.emit('SplitToSequence', [x, g.ints([width, width, width])], { axis: 2 });
        return of.map((i) => ({
          ...g.emit('SequenceAt', [list, g.scalar(i, 'int64')]),
          type: 'float32',
          shape: a.shape,
        }));
      }
      const apart = g.Reshape(x, [-1, length, 3, width]);
      return of.map((i) => g.Gather(apart, g.scalar(i === 2 ? -1 : i, 'int64'), 2));
    };
    const [q, k, v] = parts() as [Value, Value, Value];
    return g.Add(g.Mul(q, g.Sigmoid(k)), v);
  },
  concat: (m, a, b, form) => m.linear(m.g.Concat([a, b], 2), undefined, 2 * m.width, m.width, form),
  /** A product over positions. */
  mixed: (m, a) => m.g.MatMul(m.weight(`mix${m.g.nodes.length}`, [m.length, m.length]), a),
  conv: (m, a, _, form) => {
    const { g, width } = m;
    const kernel = [3, 1][form % 2]!;
    const groups = form % 4 === 3 ? width : 1;
    const y = m.conv(g.Transpose(a, [0, 2, 1]), [width, width / groups, kernel], {
      group: groups,
      pads: [(kernel - 1) / 2, (kernel - 1) / 2],
    });
    return g.Transpose(y, [0, 2, 1]);
  },
  rows: ({ g, length }, a, _, form) => g.Gather(a, g.ints(Array.from({ length }, (__, i) => (i * (1 + form)) % length)), 1), // prettier-ignore
  broadcast: ({ g }, a, b, form) => {
    if (form % 3 === 0) return g.Add(a, g.ReduceMean(b, [1], true));
    if (form % 3 === 1) return g.Add(a, g.Unsqueeze(g.Gather(b, g.scalar(0, 'int64'), 1), [1]));
    return g.Mul(a, g.Tanh(g.ReduceMean(g.Mul(b, b), [-1], true)));
  },
  /** The same twice, as exporters repeat themselves. */
  twice: ({ g }, a) => {
    const same = (): Value => g.Tanh(g.Mul(a, 0.5));
    return g.Add(same(), g.Mul(g.Sigmoid(a), same()));
  },
  reshape: ({ g, length, width }, a, _, form) => {
    const flat = g.Reshape(a, form % 2 === 0 ? [-1, length * width] : [-1, width]);
    const y = form % 4 < 2 ? g.Tanh(flat) : flat;
    return g.Reshape(y, [-1, length, width]);
  },
  transpose: ({ g }, a) => g.Transpose(g.Tanh(g.Transpose(a, [2, 0, 1])), [1, 2, 0]),
  pad: ({ g, length }, a, b) =>
    length === 1 ? g.Identity(a) : g.Add(g.Pad(g.Slice(a, [1], [length], [1]), [0, 0, 0, 0, 1, 0]), b),
};
