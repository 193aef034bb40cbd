/** @file Outputs to boxes as transformers' post-processing, and as torchvision's suppression. */

import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { readSafetensors } from '@onnx-lora/sdk/data';
import { describe, expect, it, test } from 'vitest';
import { decodeBoxes, decodeGrid, type ScoreKind } from './decodeBoxes.ts';

const own = path.join(import.meta.dirname, '../../../fixtures/boxes');
const oracle = path.join(import.meta.dirname, '../../../../../../shared/oracle/detection/post');
const folderOf = (name: string): string => path.join(existsSync(path.join(own, name)) ? own : oracle, name);
const read = <T>(name: string): T => JSON.parse(readFileSync(path.join(folderOf(name), 'expected.json'), 'utf8')) as T;

interface Case {
  readonly threshold: number;
  readonly targetSizes: readonly (readonly [number, number])[] | null;
  readonly results: readonly { scores: number[]; labels: number[]; boxes: number[][] }[];
}

// transformers' softmax of RT-DETR (`use_focal_loss: false`) is over the images of a batch: an answer depends on its
// neighbours there, and here it does not.
const kinds: Record<string, ScoreKind['kind']> = {
  detr: 'softmax',
  yolos: 'softmax',
  'rt-detr': 'sigmoid',
  'd-fine': 'sigmoid',
  'deformable-detr': 'sigmoid',
  'conditional-detr': 'sigmoid',
};

const families = Object.entries(kinds).filter(([name]) => existsSync(folderOf(name)));
describe.each(families)('%s', (name, kind) => {
  it('gives the boxes of transformers', async () => {
    const { cases, arguments: given } = read<{ cases: Case[]; arguments: { top_k?: number } }>(name);
    const { tensors } = await readSafetensors(path.join(folderOf(name), 'outputs.safetensors'));
    const [logits, boxes] = [tensors.get('logits')!, tensors.get('pred_boxes')!];
    const [rows = 0, queries = 0, classes = 0] = logits.dims;
    expect(cases.length).toBeGreaterThan(3);
    for (const { threshold, targetSizes, results } of cases) {
      for (let row = 0; row < rows; row++) {
        const found = decodeBoxes(
          {
            logits: logits.data.subarray(row * queries * classes, (row + 1) * queries * classes) as Float32Array,
            boxes: boxes.data.subarray(row * queries * 4, (row + 1) * queries * 4) as Float32Array,
          },
          kind === 'softmax' ? { kind } : { kind, ...(given.top_k === undefined ? {} : { most: given.top_k }) },
          threshold,
        );
        const [height, width] = targetSizes?.[row] ?? [1, 1];
        const expected = results[row]!;
        expect(found.map(({ label }) => label)).toEqual(expected.labels);
        found.forEach(({ score, box }, i) => {
          expect(score).toBeCloseTo(expected.scores[i]!, 5);
          box.forEach((edge, k) => expect(Math.abs(edge * (k % 2 === 0 ? width : height) - expected.boxes[i]![k]!)).toBeLessThan(0.01)); // prettier-ignore
        });
      }
    }
  });
});

interface GridCase {
  readonly input: string;
  readonly confidence: number;
  readonly iou: number;
  readonly maxDetections: number;
  readonly multiLabel: boolean;
  readonly agnostic: boolean;
  readonly result: { readonly anchors: number[]; readonly labels: number[]; readonly scores: number[] };
}

test.skipIf(!existsSync(folderOf('yolo')))('suppression is torchvision’s', async () => {
  const { cases } = read<{ cases: GridCase[] }>('yolo');
  const { tensors } = await readSafetensors(path.join(folderOf('yolo'), 'outputs.safetensors'));
  expect(cases.length).toBeGreaterThan(3);
  for (const { input, confidence, iou, maxDetections, multiLabel, agnostic, result } of cases) {
    const output = tensors.get(input)!;
    const found = decodeGrid(output.data as Float32Array, output.dims[2]!, {
      threshold: confidence,
      overlap: iou,
      most: maxDetections,
      manyClasses: multiLabel,
      acrossClasses: agnostic,
    });
    const pairs = (list: readonly string[]): string[] => (input === 'ties' ? [...list].sort() : [...list]);
    expect(pairs(found.map(({ query, label }) => `${query}:${label}`))).toEqual(
      pairs(result.anchors.map((anchor, i) => `${anchor}:${result.labels[i]}`)),
    );
    found.forEach(({ score }, i) => expect(score).toBeCloseTo(result.scores[i]!, 6));
  }
});
