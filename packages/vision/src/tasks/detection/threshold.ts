/** @file The threshold of scores that is best on held-out images. */

import { type Batch, heldOut, type ReportRequest } from '@onnx-lora/sdk/tasks';
import type { DetectionExample } from './detectionData.ts';
import { DetectionMetrics } from './detectionMetrics.ts';
import type { DetectionDataset } from './detectionReport.ts';
import type { Detector } from './detector.ts';

/** Options of {@link bestThreshold}. */
export interface ThresholdOptions {
  readonly dataset: DetectionDataset;
  readonly collate: (examples: readonly DetectionExample[]) => Promise<Batch>;
  readonly detector: Detector;
  readonly labels: readonly string[];
}

/** The threshold with the highest F1 of found objects that overlap by half with a true one of their class. */
export async function bestThreshold(
  request: Pick<ReportRequest, 'run' | 'batchSize'>,
  { dataset, collate, detector, labels }: ThresholdOptions,
): Promise<number> {
  const metrics = new DetectionMetrics(detector, labels.length);
  for await (const { outputs, targets } of heldOut({ dataset, collate }, request)) metrics.update(outputs, targets);
  return metrics.evaluation.bestThreshold();
}
