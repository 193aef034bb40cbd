/** @file LoRA-drop: which layers a short run has changed most, by what their changes make of the task's inputs. */

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
  /** The share of all importance that the layers with an adapter have together; 0.9 by default. */
  readonly share?: number;
}

/** What it gathers of a value that layers read. */
interface Gathered extends InputObserver {
  /** Σ x·xᵀ over all rows. */
  readonly gram: Matrix;
  rows: number;
}

/**
 * LoRA-drop's allocation: after a short run, a layer matters as much as its change of outputs is large, the mean of ‖ΔW·x‖²
 * over inputs of the task. The layers that matter most get an adapter, until they have `share` of the sum; the others get none.
 * (In the paper these share one adapter; ties between layers are for tuners.) A and B begin as LoRA's.
 *
 * @example
 * const { adapter } = await (await train(model, { task, lora, steps: 50 })).done;
 * const run = await train(model, { task, lora: { ...lora, initLoraWeights: loraDrop(adapter) } });
 *
 * @param adapter of the short run: LoRA on linear layers, those that the next run names as well
 * @see https://arxiv.org/abs/2402.07721
 * @throws OnnxLoraError `CONFIG_INVALID` for a share that is none, `INPUT_INVALID` for an adapter that is not LoRA
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
        // At least one layer, also where the short run has changed nothing.
        ranks.set(path, sum < wanted || ranks.size === 0 ? r : 0);
        sum += importance;
      }
      return ranks;
    },
  };
}

/** The mean of ‖s·B·A·x‖²: tr(Bᵀ·B · A·G·Aᵀ)·s² ÷ rows. */
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
