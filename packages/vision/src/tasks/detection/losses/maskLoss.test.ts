/** @file Losses of masks with their gradients, beside transformers' (`fixtures/masks`). */

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { float32, type Tensor, tensor } from '@onnx-lora/sdk';
import { expect, test } from 'vitest';
import { differentiated, gradientValues } from '../../../../../../test/support/differentiated.ts';
import { runOnce } from '../../../../../../test/support/graphs.ts';
import { lossOf } from '../detectorLoss.ts';
import { detectionTargets } from '../targets.ts';
import { detectionLoss, type DetectionLoss } from './detectionLoss.ts';

interface Golden {
  readonly labels: number[][];
  readonly boxes: number[][][];
  /** Pixels as texts of 0 and 1, by image and object. */
  readonly masks: string[][];
  readonly size: [number, number];
  readonly loss: number;
  readonly logits: Numbers;
  readonly queries: Numbers;
  readonly found?: Numbers;
}
interface Numbers {
  readonly dims: number[];
  readonly data: number[];
  readonly gradient: number[];
}

const file = path.join(import.meta.dirname, '../../../../fixtures/masks/goldens.json');
const goldens = JSON.parse(readFileSync(file, 'utf8')) as Record<string, Golden>;
const classes = { kind: 'cross-entropy', noObject: 0.1 } as const;
const settings: Record<string, DetectionLoss> = {
  detr: {
    classes,
    cost: { class: 1, bbox: 5, giou: 2 },
    weights: { class: 1, bbox: 5, giou: 2, mask: 1, dice: 1 },
  },
  maskformer: {
    classes,
    cost: { class: 1, bbox: 0, giou: 0, mask: 20, dice: 1 },
    weights: { class: 1, bbox: 0, giou: 0, mask: 20, dice: 1 },
    pixels: 'focal',
  },
  mask2former: {
    classes,
    cost: { class: 2, bbox: 0, giou: 0, mask: 5, dice: 5 },
    weights: { class: 2, bbox: 0, giou: 0, mask: 5, dice: 5 },
    pixels: 'cross-entropy',
  },
  'rf-detr': {
    classes: { kind: 'aligned', alpha: 0.25 },
    cost: { class: 2, bbox: 5, giou: 2, mask: 5, dice: 5, focal: { alpha: 0.25, gamma: 2 } },
    weights: { class: 1, bbox: 5, giou: 2, mask: 5, dice: 5 },
    pixels: 'cross-entropy',
  },
};

test.each([
  ['detr', { model_type: 'detr' }, true],
  ['maskformer', { model_type: 'maskformer' }, false],
  ['mask2former', { model_type: 'mask2former' }, false],
  ['rf-detr', { model_type: 'rf_detr' }, true],
] as const)('%s: these are the settings of its config', (name, config, boxes) => {
  expect(lossOf(config, { hasNothing: name !== 'rf-detr', boxes, masks: true })).toEqual(settings[name]);
});

function graphOf({ labels, boxes, masks, size, logits, queries, found }: Golden, loss: DetectionLoss) {
  const targets = detectionTargets(labels.map((own, i) => ({ labels: own, boxes: boxes[i]! })));
  const slots = targets['labels']!.dims[1]!;
  const [height, width] = size;
  const pixels = Uint8Array.from(
    masks.flatMap((own) => Array.from({ length: slots }, (_, i) => [...(own[i] ?? '0'.repeat(height * width))].map(Number)).flat()), // prettier-ignore
  );
  const shapes = { logits: logits.dims, queries: queries.dims, ...(found && { found: found.dims }) };
  return differentiated(shapes, Object.keys(shapes), (g, { logits: scores, queries: own, found: box }) => {
    const given = (each: Tensor | undefined) => g.constant(each!);
    return detectionLoss(
      g,
      { sets: [{ logits: scores!, ...(box && { boxes: box }) }], masks: own! },
      {
        labels: given(targets['labels']),
        boxes: given(targets['boxes']),
        counts: given(targets['counts']),
        batchCounts: given(targets['batchCounts']),
        masks: given(tensor('uint8', pixels, [labels.length, slots, height, width])),
      },
      loss,
    );
  });
}

test.each(Object.entries(goldens))("%s: transformers' loss and gradients", async (name, golden) => {
  const graph = graphOf(golden, settings[name]!);
  const parts = { logits: golden.logits, queries: golden.queries, ...(golden.found && { found: golden.found }) };
  const feeds = Object.fromEntries(Object.entries(parts).map(([key, { data, dims }]) => [key, float32(data, dims)]));
  const [loss] = Object.values(await runOnce(graph.model, feeds));
  expect(Math.abs(Number(loss!.data[0]) / golden.loss - 1)).toBeLessThan(1e-5);
  const gradients = await gradientValues(graph, feeds);
  for (const [key, { gradient }] of Object.entries(parts)) {
    const largest = Math.max(...gradient.map((each) => Math.abs(each)));
    gradient.forEach((each, i) => expect(Math.abs(each - Number(gradients[key]!.data[i]))).toBeLessThan(2e-5 * largest + 2e-7)); // prettier-ignore
  }
});
