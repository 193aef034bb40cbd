/** @file The loss of heads with offsets beside a plain program of the paper's steps, and its gradients beside differences. */

import { float32 } from '@onnx-lora/sdk';
import { Random } from '@onnx-lora/sdk/data';
import { describe, expect, it } from 'vitest';
import { differentiated, gradientValues } from '../../../../../../test/support/differentiated.ts';
import { runOnce } from '../../../../../../test/support/graphs.ts';
import { detectionTargets, type ImageObjects } from '../targets.ts';
import { offsetLoss } from './offsetLoss.ts';

const classes = 3;
const grids = [
  { stride: 8, rows: 8, columns: 6 },
  { stride: 16, rows: 4, columns: 3 },
];
const [width, height] = [48, 64];

interface Case {
  readonly name: string;
  /** Class, center, width and height in pixels, by image. */
  readonly images: readonly (readonly (readonly [number, number, number, number, number])[])[];
}

const cases: readonly Case[] = [
  { name: 'one object', images: [[[1, 20, 30, 18, 24]]] },
  { name: 'overlapping objects and an empty image', images: [[[0, 20, 30, 30, 40], [2, 24, 34, 28, 30]], []] }, // prettier-ignore
  { name: 'objects smaller than a place', images: [[[0, 9, 9, 3, 4], [1, 40, 50, 5, 2]], [[2, 24, 24, 44, 60]]] }, // prettier-ignore
  { name: 'no object at all', images: [[], []] },
];

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

/** The paper's steps, one number after the other. */
function plainLoss(levels: readonly Float32Array[], images: Case['images']): number {
  let [boxes, any, byClass, positives] = [0, 0, 0, 0];
  images.forEach((objects, image) => {
    const places = grids.flatMap(({ stride, rows, columns }, level) =>
      Array.from({ length: rows * columns }, (_, at) => {
        const [x, y] = [at % columns, Math.floor(at / columns)];
        const raw = Array.from({ length: 5 + classes }, (__, c) => levels[level]![(image * (5 + classes) + c) * rows * columns + at]!); // prettier-ignore
        const [cx, cy] = [(raw[0]! + x) * stride, (raw[1]! + y) * stride];
        const [w, h] = [Math.exp(raw[2]!) * stride, Math.exp(raw[3]!) * stride];
        return { x: (x + 0.5) * stride, y: (y + 0.5) * stride, stride, raw, box: [cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2] }; // prettier-ignore
      }),
    );
    const edges = objects.map(([, x, y, w, h]) => [x - w / 2, y - h / 2, x + w / 2, y + h / 2]);
    const iou = (a: readonly number[], b: readonly number[]): number => {
      const across = Math.max(0, Math.min(a[2]!, b[2]!) - Math.max(a[0]!, b[0]!));
      const down = Math.max(0, Math.min(a[3]!, b[3]!) - Math.max(a[1]!, b[1]!));
      const area = (c: readonly number[]): number => (c[2]! - c[0]!) * (c[3]! - c[1]!);
      return (across * down) / (area(a) + area(b) - across * down);
    };
    const takers = places.map((): { object: number; cost: number }[] => []);
    objects.forEach(([label, cx, cy], object) => {
      const tried = places.flatMap(({ x, y, stride, raw, box }, place) => {
        const [x0, y0, x1, y1] = edges[object]! as [number, number, number, number];
        const isInside = x > x0 && x < x1 && y > y0 && y < y1;
        const isNear = Math.abs(x - cx) < 2.5 * stride && Math.abs(y - cy) < 2.5 * stride;
        if (!isInside && !isNear) return [];
        const overlap = iou(edges[object]!, box);
        const cost = Array.from({ length: classes }, (_, c) => {
          const p = Math.sqrt(sigmoid(raw[4]!) * sigmoid(raw[5 + c]!));
          return -Math.log(c === label ? p : 1 - p);
        }).reduce((a, b) => a + b);
        return [{ place, overlap, cost: cost - 3 * Math.log(overlap + 1e-8) + (isInside && isNear ? 0 : 1e5) }];
      });
      const best = tried.map(({ overlap }) => overlap).sort((a, b) => b - a).slice(0, 10); // prettier-ignore
      const number = Math.max(1, Math.floor(best.reduce((a, b) => a + b, 0)));
      for (const { place, cost } of tried.sort((a, b) => a.cost - b.cost).slice(0, number))
        takers[place]!.push({ object, cost });
    });
    places.forEach(({ raw, box }, place) => {
      const [own] = takers[place]!.sort((a, b) => a.cost - b.cost);
      const target = own ? 1 : 0;
      any -= target * Math.log(sigmoid(raw[4]!)) + (1 - target) * Math.log(1 - sigmoid(raw[4]!));
      if (!own) return;
      positives++;
      const overlap = iou(edges[own.object]!, box);
      boxes += 1 - overlap ** 2;
      for (let c = 0; c < classes; c++) {
        const wanted = c === objects[own.object]![0] ? overlap : 0;
        byClass -= wanted * Math.log(sigmoid(raw[5 + c]!)) + (1 - wanted) * Math.log(1 - sigmoid(raw[5 + c]!));
      }
    });
  });
  return (5 * boxes + any + byClass) / Math.max(1, positives);
}

describe.each(cases)('$name', ({ images }) => {
  const random = new Random(5);
  const shapes = Object.fromEntries(grids.map(({ rows, columns }, i) => [`level${i}`, [images.length, 5 + classes, rows, columns]])); // prettier-ignore
  const values = Object.values(shapes).map((shape) => Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => 1.6 * random.next() - 0.8)); // prettier-ignore
  const objects = images.map((own): ImageObjects => ({
    labels: own.map(([label]) => label),
    boxes: own.map(([, x, y, w, h]) => [x / width, y / height, w / width, h / height]),
  })); // prettier-ignore
  const { labels, boxes, counts } = detectionTargets(objects);
  const names = Object.keys(shapes);
  const graph = differentiated(shapes, names, (g, inputs) =>
    offsetLoss(
      g,
      names.map((name) => inputs[name]!),
      { labels: g.constant(labels!), boxes: g.constant(boxes!), counts: g.constant(counts!) },
      grids.map(({ stride }) => stride),
    ),
  );
  const feeds = Object.fromEntries(names.map((name, i) => [name, float32(values[i]!, shapes[name]!)]));

  it("has the paper's loss", async () => {
    const [loss] = Object.values(await runOnce(graph.model, feeds));
    const wanted = plainLoss(values, images);
    expect(Math.abs(Number(loss!.data[0]) / wanted - 1)).toBeLessThan(1e-5);
  });

  it('has its gradients, the assignment and the target overlaps held', async () => {
    const gradients = await gradientValues(graph, feeds);
    // Along the scores of any object and the boxes of places without objects, where no target moves.
    const gradient = gradients['level0']!.data as Float32Array;
    const { rows, columns } = grids[0]!;
    const step = 1e-3;
    for (const at of [0, 7, 20, 47]) {
      const index = 4 * rows * columns + at;
      const moved = [step, -step].map((by) => plainLoss([values[0]!.map((value, i) => (i === index ? value + by : value)), values[1]!], images)); // prettier-ignore
      expect(gradient[index]!).toBeCloseTo((moved[0]! - moved[1]!) / (2 * step), 3);
    }
  });
});
