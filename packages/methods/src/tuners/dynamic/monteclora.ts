/** @file MonteCLoRA: training adds a mean of random changes to A, with trained spread and mixture weights. */

import { Random } from '@onnx-lora/sdk/data';
import type { ByTensor, StepTensor, TensorSpec, Tuner, TunerSettings } from '@onnx-lora/sdk/plugin';
import type { GraphBuilder, Value } from '@onnx-lora/sdk/tasks';
import { loraFactors, rankOf, variantOfLora } from '../lowRank/lora.ts';
import { finite, whole } from '../settings.ts';
import { filled, zeros } from '../tensors.ts';

const SAMPLER = 'lora_monteclora_sampler.';
const defaults = { num_samples: 8, use_entropy: false, dirichlet_prior: 0.1, sample_scaler: 1e-4, kl_loss_weight: 1e-5, buffer_size: 150 }; // prettier-ignore

const [STD, SHARES] = [`${SAMPLER}std_prior`, `${SAMPLER}expert_weights_prior`];

const sampling = ({ monteclora_config: given }: TunerSettings): TunerSettings => ({
  ...defaults,
  ...(given as object),
});

export const monteclora: Tuner = {
  name: 'monteclora',
  ...variantOfLora('monteclora_config', defaults),
  paper: 'https://arxiv.org/abs/2411.04358',
  description: 'MonteCLoRA: LoRA that is trained with random changes of A, of a spread that is trained too',
  tune: (layer, settings, _, saved) => {
    const { r, scaling, dropout } = rankOf(layer, settings, saved === undefined);
    const own = sampling(settings);
    const [samples, scaler] = [whole(own, 'num_samples'), finite(own, 'sample_scaler')];
    const prior = (dims: readonly number[]): TensorSpec => ({ ...zeros(dims), init: (random) => new Float32Array(dims[0]!).map(() => random.uniform(0, 1)) }); // prettier-ignore
    const drawn = (dims: readonly number[], first: number): TensorSpec => ({ ...filled(dims, first), role: 'state' });
    return {
      dropout,
      tensors: {
        ...loraFactors(r, layer.in, layer.out),
        [STD]: prior([r]),
        [SHARES]: prior([samples]),
        [`${SAMPLER}gaussian_var_prior`]: { ...zeros([r, r]), role: 'frozen', init: () => Float32Array.from({ length: r * r }, (__, i) => Number(i % (r + 1) === 0)) }, // prettier-ignore
        [`${SAMPLER}expert_weights`]: { ...filled([samples], 1 / samples), role: 'frozen' },
        // The first step has no noise and the mean variances.
        normal: drawn([samples, layer.in, r], 0),
        wishart: drawn([r], r),
        dirichlet: drawn([samples], 0),
      },
      factors: (g, tensors) => {
        const { 'lora_A.weight': A, 'lora_B.weight': B, normal } = tensors;
        const spread = g.Mul(g.Sqrt(variances(g, tensors)), scaler);
        const shares = g.Reshape(sharesOf(g, tensors), [1, samples]);
        const mean = g.Reshape(g.MatMul(shares, g.Reshape(normal!, [samples, layer.in * r])), [layer.in, r]);
        return { A: g.Add(A!, g.Transpose(g.Mul(mean, spread), [1, 0])), B: g.Mul(B!, scaling) };
      },
    };
  },
  training: (settings) => {
    const own = sampling(settings);
    const [weight, alpha] = [finite(own, 'kl_loss_weight'), finite(own, 'dirichlet_prior')];
    return {
      loss: (g, modules) => {
        const losses = modules.map(({ tensors }) => {
          const far = g.Mul(divergence(g, tensors, alpha), weight);
          if (own['use_entropy'] !== true) return far;
          return g.Add(far, g.ReduceSumSquare(sharesOf(g, tensors), [0], false));
        });
        return g.Div(
          losses.reduce((one, other) => g.Add(one, other)),
          losses.length,
        );
      },
      after: ({ step, seed, modules }) => {
        modules.forEach(({ tensors }, i) => {
          draw(tensors, new Random((Math.imul(step + 1, 0x9e3779b1) ^ Math.imul(i + 1, 0x85ebca6b) ^ seed) >>> 0));
        });
      },
    };
  },
};

/** Draws the next step's noise: normal samples, and the diagonal of a Wishart matrix with r degrees of freedom. */
function draw({ normal, wishart, dirichlet }: ByTensor<StepTensor>, random: Random): void {
  for (const { value } of [normal!, dirichlet!]) for (let i = 0; i < value.length; i++) value[i] = random.normal();
  const { value } = wishart!;
  for (let i = 0; i < value.length; i++) {
    value[i] = 0;
    for (let k = 0; k < value.length; k++) value[i]! += random.normal() ** 2;
  }
}

function variances(g: GraphBuilder, { [STD]: std, wishart }: ByTensor<Value>): Value {
  const deviation = g.Exp(std!);
  return g.Max(g.Mul(g.Mul(deviation, deviation), wishart!), 1e-3);
}

/** The step's mixture weights: a Dirichlet sample by its logistic-normal approximation. */
function sharesOf(g: GraphBuilder, { [SHARES]: prior, dirichlet }: ByTensor<Value>): Value {
  const count = prior!.shape![0] as number;
  const inverse = g.Exp(g.Neg(prior!));
  const all = g.Mul(g.ReduceSum(inverse, [0], true), 1 / count ** 2);
  const variance = g.Max(g.Add(g.Mul(inverse, 1 - 2 / count), all), 1e-6);
  const mean = g.Sub(prior!, g.ReduceMean(prior!, [0], true));
  return g.Softmax(g.Add(g.Mul(g.Sqrt(g.Add(variance, 1e-6)), dirichlet!), mean), 0);
}

/** KL divergence of weights, spread and variances from their priors, as PEFT sums it. */
function divergence(g: GraphBuilder, tensors: ByTensor<Value>, alpha: number): Value {
  const [samples, r] = [tensors[SHARES]!.shape![0] as number, tensors[STD]!.shape![0] as number];
  const sum = (x: Value): Value => g.ReduceSum(x, [0], false);
  const shares = g.Exp(tensors[SHARES]!);
  const total = g.ReduceSum(shares, [0], true);
  const before = g.constant({ type: 'float32', dims: [samples], data: new Float32Array(samples).fill(alpha) });
  const ratio = g.Sub(logGamma(g, total), logGamma(g, g.ReduceSum(before, [0], true)));
  const single = g.Sub(logGamma(g, shares), logGamma(g, before));
  const slopes = g.Mul(g.Sub(shares, before), g.Sub(digamma(g, shares), digamma(g, total)));
  const dirichlet = g.Add(sum(ratio), sum(g.Add(single, slopes)));
  const spread = g.Exp(g.Mul(tensors[STD]!, 2));
  const wishart = g.Mul(g.Sub(sum(g.Sub(spread, g.Mul(tensors[STD]!, 2))), r), r / 2);
  const own = variances(g, tensors);
  const normal = g.Mul(g.Sub(sum(g.Sub(own, g.Log(own))), r), samples / 2);
  return g.Add(g.Add(dirichlet, wishart), normal);
}

/** From here on Stirling's series is accurate to single precision. */
const FAR = 6;

function logGamma(g: GraphBuilder, x: Value): Value {
  const y = g.Add(x, FAR);
  const series = g.Sub(g.Div(1 / 12, y), g.Div(1 / 360, g.Mul(y, g.Mul(y, y))));
  const near = g.Add(g.Sub(g.Mul(g.Sub(y, 0.5), g.Log(y)), y), g.Add(series, Math.log(2 * Math.PI) / 2));
  return Array.from({ length: FAR }, (_, k) => g.Log(g.Add(x, k))).reduce((rest, each) => g.Sub(rest, each), near);
}

/** The derivative of log Γ. */
function digamma(g: GraphBuilder, x: Value): Value {
  const y = g.Add(x, FAR);
  const square = g.Mul(y, y);
  const series = g.Sub(g.Div(1 / 120, g.Mul(square, square)), g.Add(g.Div(0.5, y), g.Div(1 / 12, square)));
  return Array.from({ length: FAR }, (_, k) => g.Reciprocal(g.Add(x, k))).reduce((rest, each) => g.Sub(rest, each), g.Add(g.Log(y), series)); // prettier-ignore
}
