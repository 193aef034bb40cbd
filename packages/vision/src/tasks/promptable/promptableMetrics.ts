/** @file How well predicted masks cover the objects that were meant. */

import { type Feeds, int64, OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import {
  bootstrapDraws,
  type Draws,
  drawsFor,
  meanMeasure,
  type Measure,
  type MetricCollector,
  type MetricsNamed,
} from '@onnx-lora/sdk/tasks';
import type { Mask } from '../../augment/sample.ts';
import { boundaryF, diceScore, intersectionOverUnion, overlapOf } from '../../metrics/maskMetrics.ts';
import { geometryOf } from '../../preprocess/geometry.ts';
import type { ImagePlan } from '../../preprocess/imagePlan.ts';
import { cutLogits, logitsOfImage, masksOf } from './imageMask.ts';
import type { SamPorts } from './samPorts.ts';

/** `bits` uint8 `[images, masks, bytes]` and `sizes` int64 `[images, 2]`, height and width. Each image has as many masks. */
export function packMasks(images: readonly (readonly Mask[])[]): {
  readonly bits: Feeds[string];
  readonly sizes: Feeds[string];
} {
  const bytes = Math.max(...images.flat().map(({ data }) => Math.ceil(data.length / 8)));
  const each = images[0]!.length;
  const data = new Uint8Array(images.length * each * bytes);
  images.flat().forEach((mask, k) => {
    const start = k * bytes;
    for (let i = 0; i < mask.data.length; i++) if (mask.data[i] !== 0) data[start + (i >> 3)]! |= 1 << (i & 7);
  });
  return {
    bits: { type: 'uint8', dims: [images.length, each, bytes], data },
    sizes: int64(
      images.flatMap(([mask]) => [mask!.height, mask!.width]),
      [images.length, 2],
    ),
  };
}

/** The masks again, of zeros and ones. */
function unpackMasks(bits: Feeds[string], sizes: Feeds[string]): Mask[][] {
  const [images = 0, each = 0, bytes = 0] = bits.dims;
  return Array.from({ length: images }, (_, i) => {
    const [height, width] = [Number(sizes.data[2 * i]), Number(sizes.data[2 * i + 1])];
    return Array.from({ length: each }, (__, j) => {
      const start = (i * each + j) * bytes;
      const data = new Uint8Array(height * width);
      for (let k = 0; k < data.length; k++) data[k] = ((bits.data[start + (k >> 3)] as number) >> (k & 7)) & 1;
      return { height, width, data };
    });
  });
}

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

  /** The same on sets of images: objects of one image are alike. */
  draws(): Draws {
    const prompts = this.#images.length;
    return bootstrapDraws(this.#measure, prompts, { samples: drawsFor(prompts), groups: this.#images });
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
