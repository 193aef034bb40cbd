/** @file Gram matrices of the inputs of a model's layers, over a task's examples in the base. */

import { type Model, train, type TrainOptions } from '@onnx-lora/sdk';
import { type InputInitializer, type InputObserver, type Matrix, matrix } from '@onnx-lora/sdk/plugin';
import type { Task } from '@onnx-lora/sdk/tasks';

/** Options of the pass over the examples. */
export type InputGramsOptions = Pick<TrainOptions, 'initBatches' | 'batchSize' | 'provider' | 'threads'>;

/** Σ x·xᵀ, `[in, in]`, over the inputs x of linear layers in some batches, by path. @throws OnnxLoraError as `train` */
export async function inputGrams(
  model: Model,
  task: Task,
  modules: readonly string[],
  options: InputGramsOptions = {},
): Promise<ReadonlyMap<string, Matrix>> {
  const grams = new Map<string, Matrix>();
  const initLoraWeights = gramInitializer({
    name: 'input-grams',
    refuses: ({ kind }) => (kind === 'linear' ? undefined : 'is not linear'),
    factors: (gram, { path, r, out }) => {
      grams.set(path, gram);
      return { A: matrix(r, gram.rows), B: matrix(out, r) };
    },
  });
  // One step that goes nowhere: only the initializer's statistics matter.
  const lora = { r: 1, loraAlpha: 1, targetModules: [...modules], initLoraWeights };
  await (
    await train(model, { ...options, task, lora, steps: 1, lr: Number.MIN_VALUE })
  ).done;
  return grams;
}

type Observed = Parameters<InputObserver['factors']>[0];

/** An initializer whose `factors` also get Σ x·xᵀ, `[in, in]`, of the layer's inputs. */
export function gramInitializer({
  factors,
  ...own
}: Pick<InputInitializer, 'name' | 'refuses'> & {
  readonly factors: (gram: Matrix, layer: Observed) => ReturnType<InputObserver['factors']>;
}): InputInitializer {
  return {
    ...own,
    needs: 'inputs',
    passes: 1,
    observe: ({ width }) => {
      const gram = matrix(width, width);
      return {
        settled: false,
        update: (batch) => batch.gram.data.forEach((value, at) => (gram.data[at]! += value)),
        factors: (layer) => factors(gram, layer),
      };
    },
  };
}
