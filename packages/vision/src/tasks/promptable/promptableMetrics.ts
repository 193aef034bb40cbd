/** @file How good the masks are that a model gives for prompts. */

import { type Feeds, OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import {
  bootstrapIntervals,
  drawsFor,
  meanMeasure,
  type Measure,
  type MetricCollector,
  type MetricsNamed,
} from '@onnx-lora/sdk/tasks';
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
  #masks = 1;
  /** By prompt: its image, and how good the mask is. */
  readonly #images: number[] = [];
  readonly #iou: number[] = [];
  readonly #dice: number[] = [];
  readonly #boundary: number[] = [];
  readonly #best: number[] = [];

  constructor(ports: SamPorts, plan: ImagePlan) {
    this.#ports = ports;
    this.#plan = plan;
  }

  update(outputs: Readonly<Record<string, Tensor>>, targets: Feeds): void {
    const { bits, sizes, weights, images } = targets;
    if (!bits || !sizes || !weights || !images)
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
        this.#images.push(Number(images.data[i]));
        this.#masks = cut.length;
        this.#iou.push(intersectionOverUnion(overlaps[best]!));
        this.#dice.push(diceScore(overlaps[best]!));
        this.#boundary.push(boundaryF({ ...truth, data: cut[best]! }, truth));
        this.#best.push(Math.max(...overlaps.map(intersectionOverUnion)));
      }
    }
  }

  result(): PromptableScores {
    return this.#measure();
  }

  /** Intervals of the same, by a bootstrap over images: objects of one image are alike. */
  intervals(): ReturnType<typeof bootstrapIntervals> {
    const prompts = this.#images.length;
    return bootstrapIntervals(this.#measure, prompts, { samples: drawsFor(prompts), groups: this.#images });
  }

  get #measure(): Measure<PromptableScores> {
    return meanMeasure<'meanIou' | 'dice' | 'boundaryF'>({
      meanIou: this.#iou,
      dice: this.#dice,
      boundaryF: this.#boundary,
      ...(this.#masks > 1 && { bestIou: this.#best }),
    });
  }
}
