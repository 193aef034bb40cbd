/** @file How good the masks are that a model gives for prompts. */

import { type Feeds, type MetricCollector, type MetricsNamed, OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import { boundaryF } from '../../metrics/boundaryF.ts';
import { diceScore, intersectionOverUnion, overlapOf } from '../../metrics/overlap.ts';
import { geometryOf } from '../../preprocess/geometry.ts';
import type { ImagePlan } from '../../preprocess/imagePlan.ts';
import { cutLogits, logitsOfImage } from './imageMask.ts';
import { masksOf } from './masksOf.ts';
import { unpackMasks } from './packedMasks.ts';
import type { SamPorts } from './samPorts.ts';

/** What is measured of masks that prompts ask for. */
export type PromptableScores = MetricsNamed<'meanIou' | 'dice' | 'boundaryF'>;

/**
 * Means over all prompts, at the images' own size: `meanIou`, `dice` and `boundaryF` of the mask that the decoder thinks
 * best; where it gives several, `bestIou` of the one that is.
 */
export class PromptableMetrics implements MetricCollector<PromptableScores> {
  readonly #ports: SamPorts;
  readonly #plan: ImagePlan;
  #prompts = 0;
  #masks = 1;
  #iou = 0;
  #dice = 0;
  #boundary = 0;
  #best = 0;

  constructor(ports: SamPorts, plan: ImagePlan) {
    this.#ports = ports;
    this.#plan = plan;
  }

  update(outputs: Readonly<Record<string, Tensor>>, targets: Feeds): void {
    const { bits, sizes, weights } = targets;
    if (!bits || !sizes || !weights)
      throw new OnnxLoraError(
        'INPUT_INVALID',
        'Examples drawn for training cannot be measured. Get them without a draw.',
      );
    const found = masksOf(outputs, this.#ports);
    const isPadded = this.#plan.pad !== undefined;
    for (const [i, truths] of unpackMasks(bits, sizes).entries()) {
      for (const [j, truth] of truths.entries()) {
        if (weights.data[i * truths.length + j] === 0) continue;
        const geometry = geometryOf(this.#plan, truth);
        const { logits, best } = found(i, j);
        const cut = logits.map((each) => cutLogits(logitsOfImage(each, geometry, { isPadded })));
        const overlaps = cut.map((mask) => overlapOf(mask, truth.data));
        this.#prompts++;
        this.#masks = cut.length;
        this.#iou += intersectionOverUnion(overlaps[best]!);
        this.#dice += diceScore(overlaps[best]!);
        this.#boundary += boundaryF({ ...truth, data: cut[best]! }, truth);
        this.#best += Math.max(...overlaps.map(intersectionOverUnion));
      }
    }
  }

  result(): PromptableScores {
    const mean = (sum: number): number => sum / Math.max(1, this.#prompts);
    return {
      meanIou: mean(this.#iou),
      dice: mean(this.#dice),
      boundaryF: mean(this.#boundary),
      ...(this.#masks > 1 && { bestIou: mean(this.#best) }),
    };
  }
}
