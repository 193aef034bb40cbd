/** @file The loss of a batch is the mean of its parts' losses, whatever objects they hold, and no padding counts. */

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { type Feeds, float32, int64 } from '@onnx-lora/sdk';
import { Random } from '@onnx-lora/sdk/data';
import { inferNode } from '@onnx-lora/sdk/plugin';
import { GraphBuilder, type Value } from '@onnx-lora/sdk/tasks';
import { expect, test } from 'vitest';
import { modelOf, runOnce } from '../../../../../../test/support/graphs.ts';
import { detectorOutputs, type DetectorPorts } from '../detectorPorts.ts';
import { detectionTargets, type ImageObjects } from '../targets.ts';
import { type DetectionLoss, detectionLoss } from './detectionLoss.ts';

const [rows, queries, classes, layers, bins] = [4, 5, 3, 3, 4];
const random = new Random(4);
const draw = (dims: readonly number[], low: number, high: number) =>
  float32(
    Array.from({ length: dims.reduce((a, b) => a * b) }, () => low + (high - low) * random.next()),
    dims,
  );

const outputs: Feeds = {
  logits: draw([rows, queries, classes], -3, 3),
  boxes: draw([rows, queries, 4], 0.1, 0.6),
  intermediate_logits: draw([rows, layers + 1, queries, classes], -3, 3),
  intermediate_boxes: draw([rows, layers + 1, queries, 4], 0.1, 0.6),
  corners: draw([rows, layers, queries, 4 * (bins + 1)], -2, 2),
  references: draw([rows, layers, queries, 4], 0.1, 0.6),
};
const ports = {
  logits: 'logits',
  boxes: 'boxes',
  intermediateLogits: 'intermediate_logits',
  intermediateBoxes: 'intermediate_boxes',
  corners: 'corners',
  references: 'references',
};

/** Images with no object, one, some, and more objects than there are queries. */
const images = [0, 1, 3, 7].map((count): ImageObjects => ({
  labels: Array.from({ length: count }, (_, i) => i % (classes - 1)),
  boxes: Array.from({ length: count }, () => Array.from({ length: 4 }, () => 0.1 + 0.4 * random.next())),
}));

const settings: Record<string, DetectionLoss> = {
  'cross-entropy': {
    classes: { kind: 'cross-entropy', noObject: 0.1 },
    cost: { class: 1, bbox: 5, giou: 2 },
    weights: { class: 1, bbox: 5, giou: 2 },
  },
  focal: {
    classes: { kind: 'focal', alpha: 0.25, gamma: 2 },
    cost: { class: 2, bbox: 5, giou: 2, focal: { alpha: 0.25, gamma: 2 } },
    weights: { class: 1, bbox: 5, giou: 2 },
  },
  aligned: {
    classes: { kind: 'aligned', alpha: 0.25 },
    cost: { class: 2, bbox: 5, giou: 2, focal: { alpha: 0.25, gamma: 2 } },
    weights: { class: 1, bbox: 5, giou: 2 },
  },
  'varifocal and edges': {
    classes: { kind: 'varifocal', alpha: 0.75, gamma: 2 },
    cost: { class: 2, bbox: 5, giou: 2, focal: { alpha: 0.25, gamma: 2 } },
    weights: { class: 1, bbox: 5, giou: 2, fgl: 0.15, ddf: 1.5 },
    clipped: true,
    bins: { count: bins, scale: 4, up: 0.5 },
  },
};

async function lossOf(
  feeds: Feeds,
  targets: Feeds,
  loss: DetectionLoss,
  names: DetectorPorts = ports,
): Promise<number> {
  const g = new GraphBuilder({ opset: 17, infer: inferNode, prefix: 'loss/' });
  const named = (given: Feeds, prefix: string): Record<string, Value> =>
    Object.fromEntries(Object.entries(given).map(([name, { type, dims }]) => [name, { name: prefix + name, type, shape: dims }])); // prettier-ignore
  const [values, wanted] = [named(feeds, ''), named(targets, 'target/') as Record<'labels' | 'boxes' | 'counts' | 'batchCounts', Value>]; // prettier-ignore
  const value = detectionLoss(g, detectorOutputs(g, values, names), wanted, loss);
  const inputs = [...Object.values(values), ...Object.values(wanted)];
  const model = modelOf({ opset: 17, inputs, outputs: [value.name], nodes: g.nodes, initializers: g.initializers });
  const fed = Object.fromEntries(Object.entries(targets).map(([name, tensor]) => [`target/${name}`, tensor]));
  return Number((await runOnce(model, { ...feeds, ...fed }))[value.name]!.data[0]);
}

/** Rows of feeds from one on. */
function part(feeds: Feeds, from: number, count: number): Feeds {
  return Object.fromEntries(
    Object.entries(feeds).map(([name, tensor]) => {
      const each = tensor.data.length / rows;
      const data = tensor.data.subarray(from * each, (from + count) * each);
      return [name, { ...tensor, dims: [count, ...tensor.dims.slice(1)], data } as typeof tensor];
    }),
  );
}

test.each(Object.entries(settings))('%s: parts of a batch give the whole', async (_, loss) => {
  const targets = detectionTargets(images);
  const whole = await lossOf(outputs, targets, loss);
  expect(whole).toBeGreaterThan(1);
  const parts = await Promise.all([0, 2].map((from) => lossOf(part(outputs, from, 2), part(targets, from, 2), loss)));
  expect(parts[0]).not.toBeCloseTo(parts[1]!, 1);
  expect((parts[0]! + parts[1]!) / 2).toBeCloseTo(whole, 4);
});

test.each(Object.entries(settings))('%s: more places for objects change nothing', async (_, loss) => {
  const few = images.slice(0, 3);
  const [own, more] = [detectionTargets(few), detectionTargets(few, 6)];
  expect(more['boxes']!.dims).toEqual([3, 6, 4]);
  const of = part(outputs, 0, 3);
  expect(await lossOf(of, more, loss)).toBeCloseTo(await lossOf(of, own, loss), 5);
});

test('targets are numbered by image, and padded with a sound box', () => {
  const { labels, boxes, counts, batchCounts } = detectionTargets(images.slice(0, 3));
  expect(labels).toEqual(int64([0, 0, 0, 0, 0, 0, 0, 1, 0], [3, 3]));
  expect(Array.from(boxes!.data as Float32Array).slice(0, 4)).toEqual([0.5, 0.5, 1, 1]);
  expect(counts).toEqual(int64([0, 1, 3], [3]));
  expect(batchCounts).toEqual(int64([0, 1, 3, 0, 1, 3, 0, 1, 3], [3, 3]));
});

test('the loss of RF-DETR is that of transformers', async () => {
  const { logits, boxes, objects, alpha, loss } = JSON.parse(
    readFileSync(path.join(import.meta.dirname, '../../../../fixtures/lw-detr.json'), 'utf8'),
  ) as { logits: number[][][][]; boxes: number[][][][]; objects: ImageObjects[]; alpha: number; loss: number };
  const tensor = (sets: readonly number[][][][], dims: readonly number[]) => float32(sets.flat(3), dims);
  const feeds: Feeds = {
    logits: tensor([logits[0]!], [2, 6, 3]),
    boxes: tensor([boxes[0]!], [2, 6, 4]),
    aux_logits: tensor([logits[1]!], [2, 1, 6, 3]),
    aux_boxes: tensor([boxes[1]!], [2, 1, 6, 4]),
    enc_logits: tensor([logits[2]!], [2, 6, 3]),
    enc_boxes: tensor([boxes[2]!], [2, 6, 4]),
  };
  const names = { logits: 'logits', boxes: 'boxes', auxLogits: 'aux_logits', auxBoxes: 'aux_boxes', encoderLogits: 'enc_logits', encoderBoxes: 'enc_boxes' }; // prettier-ignore
  const setting: DetectionLoss = { ...settings['aligned']!, classes: { kind: 'aligned', alpha } };
  expect(await lossOf(feeds, detectionTargets(objects), setting, names)).toBeCloseTo(loss, 4);
});
