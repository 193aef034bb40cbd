/** @file LoRA-drop: adapts the layers whose outputs a short run has changed most. */

import { type Adapter, OnnxLoraError } from '@onnx-lora/sdk';
import {
  type InputInitializer,
  type InputObserver,
  type Matrix,
  matmul,
  matrix,
  scalingOf,
} from '@onnx-lora/sdk/plugin';

/** Options of {@link loraDrop}. */
export interface LoraDropOptions {
  /** Share of the total importance that the adapted layers hold together; 0.9 by default. */
  readonly share?: number;
}

interface Gathered extends InputObserver {
  /** Σ x·xᵀ over all rows. */
  readonly gram: Matrix;
  rows: number;
}

/**
 * LoRA-drop's allocation after a short run. A layer's importance is its mean ‖ΔW·x‖² over the task's inputs; the most
 * important layers get an adapter until they hold `share` of the sum, and the others none. (In the paper the others
 * share one adapter.) A and B have LoRA's init.
 * @example
 * const { adapter } = await (await train(model, { task, lora, steps: 50 })).done;
 * const run = await train(model, { task, lora: { ...lora, initLoraWeights: loraDrop(adapter) } });
 * @param adapter of the short run: LoRA on linear layers, including those of the next run
 * @see https://arxiv.org/abs/2402.07721
 * @throws OnnxLoraError `CONFIG_INVALID` for a share out of range, `INPUT_INVALID` for an adapter that is not LoRA
 */
export function loraDrop(adapter: Adapter, { share = 0.9 }: LoraDropOptions = {}): InputInitializer {
  if (!(share > 0 && share <= 1)) throw new OnnxLoraError('CONFIG_INVALID', `share of loraDrop must be a number above 0 and at most 1, but it is ${share}.`); // prettier-ignore
  if (adapter.config.peftType !== 'LORA' || adapter.config.useDora)
    throw new OnnxLoraError('INPUT_INVALID', `loraDrop measures plain LoRA, and the adapter is ${adapter.config.useDora ? 'DoRA' : adapter.config.peftType}. Make the short run with LoRA.`); // prettier-ignore
  return {
    name: 'lora-drop',
    needs: 'inputs',
    passes: 1,
    refuses: ({ kind, path }) => {
      if (kind !== 'linear') return 'is not linear, and LoRA-drop measures linear layers';
      return factorOf(adapter, path, 'lora_A') ? undefined : 'has no LoRA in the adapter of the short run';
    },
    observe: ({ width, random }) => {
      const gathered: Gathered = {
        gram: matrix(width, width),
        rows: 0,
        settled: false,
        update: ({ rows, gram }) => {
          gathered.rows += rows;
          gram.data.forEach((each, i) => (gathered.gram.data[i]! += each));
        },
        factors: ({ out, r, width: columns }) => ({
          A: matrix(r, columns, Float64Array.from({ length: r * columns }, () => random.uniform(-1, 1) / Math.sqrt(columns))), // prettier-ignore
          B: matrix(out, r),
        }),
      };
      return gathered;
    },
    ranks: (layers) => {
      const measured = layers.map(({ path, r, observer }) => {
        return { path, r, importance: importanceOf(adapter, path, observer as Gathered) };
      });
      const wanted = share * measured.reduce((sum, { importance }) => sum + importance, 0);
      const ranks = new Map<string, number>();
      let sum = 0;
      for (const { path, r, importance } of measured.toSorted((one, other) => other.importance - one.importance)) {
        // At least one layer, even if the short run has changed nothing.
        ranks.set(path, sum < wanted || ranks.size === 0 ? r : 0);
        sum += importance;
      }
      return ranks;
    },
  };
}

/** Mean ‖s·B·A·x‖² = tr(Bᵀ·B · A·G·Aᵀ)·s² ÷ rows. */
function importanceOf(adapter: Adapter, path: string, { gram, rows }: Gathered): number {
  const [A, B] = [factorOf(adapter, path, 'lora_A')!, factorOf(adapter, path, 'lora_B')!];
  const { scaling } = scalingOf(adapter.config, path);
  const read = matmul(matmul(A, gram), A, { transposeB: true });
  const written = matmul(B, B, { transposeA: true });
  return (scaling ** 2 * read.data.reduce((sum, each, i) => sum + each * written.data[i]!, 0)) / Math.max(1, rows);
}

function factorOf({ tensors }: Adapter, path: string, factor: 'lora_A' | 'lora_B'): Matrix | undefined {
  const tensor = tensors.get(`base_model.model.${path}.${factor}.weight`);
  if (!tensor) return undefined;
  return matrix(tensor.dims[0]!, tensor.dims[1]!, Float64Array.from(tensor.data as Float32Array));
}
