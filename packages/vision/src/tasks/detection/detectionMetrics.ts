/** @file Metrics of detection, batch by batch. */

import type { Feeds, Tensor } from '@onnx-lora/sdk';
import { bootstrapDraws, type Draws, drawsFor, type MetricCollector } from '@onnx-lora/sdk/tasks';
import { CocoEvaluation, type DetectionScores } from '../../metrics/cocoEvaluation.ts';
import { foundObjects, learnsMasks, trueObjects } from './detectionData.ts';
import { framesOf } from './frames.ts';
import type { Detector } from './detector.ts';

/** Most resamples: each sorts nothing anew, but looks at every box ten times. */
const MOST_DRAWS = 200;

/** COCO's metrics of boxes, or of masks where they are learned: `map`, the mean average precision over ten overlaps, first. */
export class DetectionMetrics implements MetricCollector<DetectionScores> {
  readonly #detector: Detector;
  /** The images so far, for more than the metrics. */
  readonly evaluation: CocoEvaluation;

  constructor(detector: Detector, classes: number) {
    this.#detector = detector;
    this.evaluation = new CocoEvaluation(learnsMasks(detector.head) ? 'masks' : 'boxes', classes);
  }

  update(outputs: Readonly<Record<string, Tensor>>, targets: Feeds): void {
    const truths = trueObjects(targets);
    const found = foundObjects(outputs, framesOf(targets), this.#detector);
    truths.forEach((objects, i) => this.evaluation.add(objects, found[i]!));
  }

  result(): DetectionScores {
    return this.evaluation.measure()();
  }

  /** The metrics on resampled images. */
  draws(): Draws {
    const { images } = this.evaluation;
    return bootstrapDraws(this.evaluation.measure(), images, { samples: Math.min(MOST_DRAWS, drawsFor(images)) });
  }
}
