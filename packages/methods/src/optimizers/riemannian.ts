/** @file Riemannian preconditioning: scales the gradients of A and B by the other factor's Gram matrix. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { createOptimizer, matmul, type Optimizer, type OptimizerFactory, optimizerTools, transpose } from '@onnx-lora/sdk/plugin'; // prettier-ignore
import { asMatrix, dampedInverse, gramOf, isPair, pairsOf } from './pairs.ts';

const { notNegative, oneOf, settingsOf } = optimizerTools;

/**
 * Before each step ∂A becomes (BᵀB + reg·I)⁻¹·∂A and ∂B becomes ∂B·(AAᵀ + reg·I)⁻¹; the optimizer `inner` then moves
 * them. This is a gradient step on rank-r matrices, whatever their factorisation. Gradients of convolution and
 * embedding factors, DoRA magnitudes and fully trained tensors stay as they are.
 *
 * Settings: `inner` (`adamw`, `adam`, `sgd`, `lion`, `adafactor`), `reg` (0.01), and those of `inner`.
 * @see https://arxiv.org/abs/2402.02347 and PEFT's create_riemannian_optimizer
 */
export const riemannian: OptimizerFactory = {
  name: 'riemannian',
  create: ({ inner, reg, ...rest }) => {
    const own = settingsOf<{ inner: 'adamw'; reg: number }>('riemannian', { inner, reg }, {
      inner: oneOf('adamw', ...(['adam', 'sgd', 'lion', 'adafactor'] as readonly string[] as readonly 'adamw'[])),
      reg: notNegative(0.01),
    }); // prettier-ignore
    const moves = createOptimizer({ name: own.inner, ...rest });
    return {
      ...moves,
      // Keeps checkpoints of different inner optimizers apart.
      name: `riemannian ${moves.name}`,
      leaves: (modules) => {
        const stacked = modules.find(({ kind }) => kind === 'parameter');
        if (stacked)
          throw new OnnxLoraError('CONFIG_INVALID', `The optimizer riemannian takes two factors of a layer, and "${stacked.path}" has several pairs in one tensor (targetParameters). Leave it out, or take another optimizer.`); // prettier-ignore
        if (modules.some(isPair)) return new Map();
        throw new OnnxLoraError('CONFIG_INVALID', 'The optimizer riemannian needs LoRA on a linear layer. Adapt linear layers by LoRA, or take another optimizer.'); // prettier-ignore
      },
      *gradients(modules): ReturnType<NonNullable<Optimizer['gradients']>> {
        for (const { A, B } of pairsOf(modules)) {
          // Graphs have A and B transposed: BᵀB is B·Bᵀ there, and AAᵀ is Aᵀ·A.
          const [a, b] = [asMatrix(A, A.value), asMatrix(B, B.value)];
          if (A.gradient) {
            const byB = dampedInverse(gramOf(transpose(b)), own.reg);
            A.gradient.set(matmul(asMatrix(A, A.gradient), byB).data);
          }
          yield;
          if (B.gradient) {
            const byA = dampedInverse(gramOf(a), own.reg);
            B.gradient.set(matmul(byA, asMatrix(B, B.gradient)).data);
          }
          yield;
        }
      },
    };
  },
};
