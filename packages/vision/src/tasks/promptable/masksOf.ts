/** @file The decoder's masks and scores, prompt by prompt. */

import { OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import type { MaskLogits } from './imageMask.ts';
import type { SamPorts } from './samPorts.ts';

/** What the decoder gives for one prompt. */
export interface PromptMasks {
  /** A mask for each thing that the prompt could mean. */
  readonly logits: readonly MaskLogits[];
  /** The decoder's estimate of each mask's IoU. */
  readonly scores: readonly number[];
  /** Which has the highest. */
  readonly best: number;
}

/**
 * Reads the outputs of a run: by the number of the image in the batch, and of the prompt.
 *
 * @throws OnnxLoraError `INPUT_INVALID` when they are not those of the model; `LOSS_NOT_FINITE` for a score that is no number
 */
export function masksOf(
  outputs: Readonly<Record<string, Tensor>>,
  ports: Pick<SamPorts, 'scores' | 'masks' | 'isSingle'>,
): (image: number, prompt: number) => PromptMasks {
  const [scores, masks] = [outputs[ports.scores], outputs[ports.masks]];
  const [, prompts = 0, count = 0, height = 0, width = 0] = masks?.dims ?? [];
  if (
    !(masks?.data instanceof Float32Array) ||
    !(scores?.data instanceof Float32Array) ||
    masks.dims.length !== 5 ||
    scores.dims.join() !== masks.dims.slice(0, 3).join()
  ) {
    throw new OnnxLoraError(
      'INPUT_INVALID',
      `"${ports.masks}" must be float32 [batch, prompts, masks, height, width] and "${ports.scores}" float32 [batch, prompts, masks]. Check that the outputs are those of the model the task was prepared for.`,
    );
  }
  const [values, pixels] = [scores.data, masks.data];
  return (image, prompt) => {
    const first = (image * prompts + prompt) * count;
    const own = Array.from(values.subarray(first, first + (ports.isSingle ? 1 : count)));
    if (!own.every(Number.isFinite)) {
      throw new OnnxLoraError(
        'LOSS_NOT_FINITE',
        `The output "${ports.scores}" holds ${own.find((each) => !Number.isFinite(each))}. The adapter has probably diverged: train it again with a lower learning rate.`,
      );
    }
    const area = height * width;
    return {
      logits: own.map((_, i) => ({ height, width, data: pixels.subarray((first + i) * area, (first + i + 1) * area) })),
      scores: own,
      best: own.indexOf(Math.max(...own)),
    };
  };
}
