/** @file The loss of dense heads and its gradients, beside numbers of their authors' program. */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { readSafetensors } from '@onnx-lora/sdk/data';
import { describe, expect, it } from 'vitest';
import { differentiated, gradientValues } from '../../../../../../test/support/differentiated.ts';
import { runOnce } from '../../../../../../test/support/graphs.ts';
import { detectionTargets } from '../targets.ts';
import { gridLoss } from './gridLoss.ts';

const own = path.join(import.meta.dirname, '../../../../fixtures/grid');
const oracle = path.join(import.meta.dirname, '../../../../../../../shared/oracle/detection/yolo-loss');
const folderOf = (name: string): string => path.join(existsSync(path.join(own, name)) ? own : oracle, name);
const names = [...new Set([own, oracle].flatMap((folder) => (existsSync(folder) ? readdirSync(folder) : [])))];

describe.each(names)('%s', (name) => {
  it('has their loss and gradients', async () => {
    const { tensors: given } = await readSafetensors(path.join(folderOf(name), 'inputs.safetensors'));
    const { tensors: expected } = await readSafetensors(path.join(folderOf(name), 'expected.safetensors'));
    const { strides } = JSON.parse(readFileSync(path.join(folderOf(name), 'case.json'), 'utf8')) as {
      strides: number[];
    };
    let at = 0;
    const images = Array.from(given.get('targets.counts')!.data, Number).map((count) => {
      const places = Array.from({ length: count }, (_, i) => at + i);
      at += count;
      return {
        labels: places.map((i) => Number(given.get('targets.labels')!.data[i])),
        boxes: places.map((i) => [0, 1, 2, 3].map((axis) => Number(given.get('targets.boxes')!.data[4 * i + axis]))),
      };
    });
    const { labels, boxes, counts } = detectionTargets(images);
    const heads = strides.map((_, level) => `head.${level}`);
    const shapes = Object.fromEntries(heads.map((head) => [head, given.get(head)!.dims]));
    const graph = differentiated(shapes, heads, (g, inputs) =>
      gridLoss(
        g,
        heads.map((head) => inputs[head]!),
        { labels: g.constant(labels!), boxes: g.constant(boxes!), counts: g.constant(counts!) },
        { strides },
      ),
    );
    const feeds = Object.fromEntries(heads.map((head) => [head, given.get(head)!]));
    const [loss] = Object.values(await runOnce(graph.model, feeds));
    const value = Number(expected.get('loss')!.data[0]);
    expect(Math.abs(Number(loss!.data[0]) / value - 1)).toBeLessThan(1e-5);
    const gradients = await gradientValues(graph, feeds);
    for (const head of heads) {
      const wanted = expected.get(`grad.${head}`)!.data as Float32Array;
      const found = gradients[head]!.data as Float32Array;
      const largest = wanted.reduce((most, each) => Math.max(most, Math.abs(each)), 0);
      const off = wanted.reduce((most, each, i) => Math.max(most, Math.abs(each - found[i]!)), 0);
      expect(off / largest).toBeLessThan(1e-4);
    }
  });
});
