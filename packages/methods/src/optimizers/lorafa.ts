/** @file LoRA-FA: freezes A as drawn and corrects B's gradient for it. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import {
  type Matrix,
  matmul,
  type OptimizedModule,
  type Optimizer,
  type OptimizerFactory,
  optimizerTools,
} from '@onnx-lora/sdk/plugin';
import { asMatrix, dampedInverse, gramOf, isPair, pairsOf } from './pairs.ts';

const { fractions, notNegative, settingsOf, zeros } = optimizerTools;

interface LoraFaSettings {
  readonly betas: readonly [number, number];
  readonly eps: number;
  readonly weightDecay: number;
  readonly delta: number;
}

/**
 * LoRA-FA trains B alone, so that the backward pass keeps r numbers of a layer's input and Adam has no state for A. ∂B
 * becomes ∂B·(AAᵀ + delta·I)⁺ ÷ scaling², which makes the change of B·A closest to a step of the full weight; AdamW as
 * in older transformers then moves B and any other trained tensor.
 *
 * Settings: `betas` (0.9, 0.999), `eps` (1e-6, added before bias correction), `weightDecay` (0), `delta` (1e-8).
 * @see https://arxiv.org/abs/2308.03303 and PEFT's create_lorafa_optimizer, which has the product in bfloat16
 */
export const lorafa: OptimizerFactory = {
  name: 'lorafa',
  create: (given): Optimizer<'exp_avg' | 'exp_avg_sq'> => {
    const settings = settingsOf<LoraFaSettings>('lorafa', given, {
      betas: fractions(0.9, 0.999),
      eps: notNegative(1e-6),
      weightDecay: notNegative(0),
      delta: notNegative(1e-8),
    });
    // By A, which never moves.
    const corrections = new WeakMap<Float32Array, Matrix>();
    return {
      ...adamW(settings),
      leaves: (modules) => {
        for (const module of modules) refuse(module);
        if (!modules.some(isPair)) throw refusal('there is no linear layer with LoRA');
        return new Map(modules.filter(isPair).map(({ path }) => [path, ['lora_A']]));
      },
      *gradients(modules): ReturnType<NonNullable<Optimizer['gradients']>> {
        for (const { module, A, B } of pairsOf(modules)) {
          if (!B.gradient) continue;
          const a = asMatrix(A, A.value);
          const correction = corrections.get(A.value) ?? dampedInverse(gramOf(a), settings.delta);
          corrections.set(A.value, correction);
          yield;
          const corrected = matmul(correction, asMatrix(B, B.gradient)).data;
          const square = module.scaling! ** 2;
          for (let i = 0; i < corrected.length; i++) B.gradient[i] = corrected[i]! / square;
          yield;
        }
      },
    };
  },
};

/** AdamW as in older transformers: no bias correction of the denominator, weight decay last. */
function adamW({ betas: [beta1, beta2], eps, weightDecay }: LoraFaSettings): Optimizer<'exp_avg' | 'exp_avg_sq'> {
  return {
    name: 'lorafa',
    weightDecay,
    init: (dims) => ({ exp_avg: zeros(dims), exp_avg_sq: zeros(dims) }),
    *update(value, gradient, { step, arrays: { exp_avg: first, exp_avg_sq: second } }, { lr, weightDecay: decay }) {
      const size = (lr * Math.sqrt(1 - beta2 ** step)) / (1 - beta1 ** step);
      for (let i = 0; i < value.length; i++) {
        const g = gradient[i]!;
        const m = (first[i] = beta1 * first[i]! + (1 - beta1) * g);
        const v = (second[i] = beta2 * second[i]! + (1 - beta2) * g * g);
        value[i] = (value[i]! - (size * m) / (Math.sqrt(v) + eps)) * (1 - lr * decay);
        if (i % 0x8000 === 0) yield;
      }
    },
  };
}

/** Refuses modules that PEFT's optimizer would mistake for pairs of factors. */
function refuse({ path, kind, tensors }: OptimizedModule<number>): void {
  const roles = Object.keys(tensors);
  const other = roles.find((role) => role.startsWith('lora_') && role !== 'lora_A' && role !== 'lora_B');
  if (other !== undefined) throw refusal(`"${path}" has ${other === 'lora_magnitude_vector' ? 'DoRA' : other}`);
  if (roles.includes('lora_A') && kind !== 'linear')
    throw refusal(`"${path}" is ${kind === undefined ? 'a recurrent layer' : `of kind ${kind}`}`);
}

function refusal(why: string): OnnxLoraError {
  return new OnnxLoraError('CONFIG_INVALID', `The optimizer lorafa trains B of plain LoRA on linear layers, and ${why}. Leave that out, or take another optimizer.`); // prettier-ignore
}
