/** @file LoKr: ΔW is the Kronecker product of two small matrices. */

import type { GraphBuilder, Value } from '@onnx-lora/sdk/tasks';
import type { ByTensor, TensorSpec, Tuner } from '@onnx-lora/sdk/plugin';
import { finiteOf, peftModules, trainsWith, whole, wholeOf, wrong } from '../settings.ts';
import { kaiming, sizeOf, zeros } from '../tensors.ts';

export const lokr: Tuner = {
  name: 'lokr',
  peftType: 'LOKR',
  paper: 'https://arxiv.org/abs/2309.14859',
  description: 'LoKr: a change of high rank, as the Kronecker product of two small matrices, each of low rank or whole',
  kinds: ['linear', 'conv1d', 'conv2d'],
  defaults: {
    r: 8,
    alpha: 8,
    rank_pattern: {},
    alpha_pattern: {},
    rank_dropout: 0,
    rank_dropout_scale: false,
    module_dropout: 0,
    init_weights: true,
    use_effective_conv2d: false,
    decompose_both: false,
    decompose_factor: -1,
    ...peftModules,
  },
  ...trainsWith('lokr', { rank_dropout: 0, module_dropout: 0 }),
  tune: (layer, settings) => {
    const { init_weights: init, use_effective_conv2d: isEffective, decompose_both: isBoth } = settings;
    if (![true, false, 'lycoris'].includes(init as boolean))
      throw wrong(settings, 'init_weights', 'true, false or "lycoris"');
    const factor = settings['decompose_factor'] === -1 ? -1 : whole(settings, 'decompose_factor');
    const r = wholeOf(layer, settings, 'r', 'rank_pattern');
    const scaling = finiteOf(layer, settings, 'alpha', 'alpha_pattern') / r;
    const [out, inputs, ...kernel] = layer.weightShape as [number, number, ...number[]];
    const [[a, c], [b, d]] = [factors(out, factor), factors(inputs, factor)];
    const window = sizeOf(kernel);
    const isWhole1 = !(isBoth === true && r < Math.max(a, b) / 2);
    const isWhole2 = r >= Math.max(c, d) / 2;
    const hasCore = !isWhole2 && isEffective === true && window > 1;
    // PEFT starts with a zero left factor, LyCORIS with a zero right one.
    const start = (dims: readonly number[], isZeroFor: unknown): TensorSpec =>
      init === isZeroFor ? zeros(dims) : kaiming(dims);
    const left: ByTensor<TensorSpec> = isWhole1
      ? { lokr_w1: start([a, b], true) }
      : { lokr_w1_a: start([a, r], true), lokr_w1_b: kaiming([r, b]) };
    const core = kernel.length === 1 ? [...kernel, 1] : kernel;
    const right: ByTensor<TensorSpec> = isWhole2
      ? { lokr_w2: start([c, d, ...kernel], 'lycoris') }
      : hasCore
        ? { lokr_t2: kaiming([r, r, ...core]), lokr_w2_a: kaiming([r, c]), lokr_w2_b: start([r, d], 'lycoris') }
        : { lokr_w2_a: kaiming([c, r]), lokr_w2_b: start([r, d * window], 'lycoris') };
    return {
      tensors: { ...left, ...right },
      linearIn: [isWhole1 ? 'lokr_w1' : 'lokr_w1_a'],
      delta: (g, { lokr_w1, lokr_w1_a, lokr_w1_b, lokr_w2, lokr_w2_a, lokr_w2_b, lokr_t2 }) => {
        const w1 = lokr_w1 ?? g.MatMul(lokr_w1_a!, lokr_w1_b!);
        const w2 = lokr_w2 ?? (lokr_t2 ? fromCore(g, lokr_t2, lokr_w2_a!, lokr_w2_b!) : g.MatMul(lokr_w2_a!, lokr_w2_b!)); // prettier-ignore
        return g.Reshape(g.Mul(kronecker(g, w1, w2), scaling), layer.weightShape);
      },
    };
  },
};

/** Factorises `size` into the closest pair, smaller first, at most `most` (-1: any); `most` itself if it divides. */
function factors(size: number, most: number): [number, number] {
  if (most > 0 && size % most === 0) return [most, size / most];
  let best = 1;
  for (let each = 2; each <= (most === -1 ? size : most) && each * each <= size; each++)
    if (size % each === 0) best = each;
  return [best, size / best];
}

/** `[c, d, ...kernel]` from a core `[r, r, ...kernel]`, a `[r, c]` and b `[r, d]`. */
function fromCore(g: GraphBuilder, core: Value, a: Value, b: Value): Value {
  const [r, , ...kernel] = core.shape as [number, number, ...number[]];
  const [[, c], [, d]] = [a.shape, b.shape] as [[number, number], [number, number]];
  const inner = g.MatMul(g.Transpose(b, [1, 0]), g.Reshape(core, [r, r, sizeOf(kernel)]));
  return g.Reshape(g.MatMul(g.Transpose(a, [1, 0]), g.Reshape(inner, [r, d * sizeOf(kernel)])), [c, d, ...kernel]);
}

/** PEFT's axes: the first two of four, but the last two of three, so that a conv1d kernel mixes with the inputs. */
function kronecker(g: GraphBuilder, left: Value, right: Value): Value {
  const [small, large] = [left.shape as number[], right.shape as number[]];
  const ones = large.slice(2).map(() => 1);
  const own = large.length === 3 ? [...ones, ...small] : [...small, ...ones];
  const [one, other] = [own.flatMap((dim) => [dim, 1]), large.flatMap((dim) => [1, dim])];
  return g.Mul(g.Reshape(left, one), g.Reshape(right, other));
}
