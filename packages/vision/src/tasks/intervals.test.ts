/** @file Intervals of metrics over images: what a bootstrap finds that measures each drawn set of images again. */

import { type Feeds, float32, int64, type Tensor } from '@onnx-lora/sdk';
import { bootstrapIntervals, intervalsOf, type MetricCollector, RetrievalMetrics } from '@onnx-lora/sdk/tasks';
import { Random } from '@onnx-lora/sdk/data';
import { expect, test } from 'vitest';
import type { ImagePlan } from '../preprocess/imagePlan.ts';
import { ImageTextMetrics } from './embedding/text/imageText.ts';
import { packMasks, PromptableMetrics } from './promptable/promptableLoss.ts';
import { SegmentationMetrics } from './segmentation/segmentationLoss.ts';

const random = new Random(5);
const draw = (...dims: number[]): Tensor =>
  float32(
    Array.from({ length: dims.reduce((a, b) => a * b) }, () => random.uniform(-1, 1)),
    dims,
  );

/** An image's entry in a collector. */
interface Seen {
  readonly outputs: Readonly<Record<string, Tensor>>;
  readonly targets: Feeds;
}

/** The same intervals by way of collectors that see each image as often as it is drawn. */
function expectAnew(collector: () => MetricCollector, images: readonly (readonly Seen[])[]): void {
  const fed = (times: ArrayLike<number>): MetricCollector => {
    const own = collector();
    images.forEach((image, i) => {
      for (let time = 0; time < times[i]!; time++)
        for (const { outputs, targets } of image) own.update(outputs, targets);
    });
    return own;
  };
  const whole = fed(images.map(() => 1));
  const found = intervalsOf(whole.draws!());
  const expected = bootstrapIntervals((times) => fed(times).result(), images.length);
  expect(Object.keys(found)).toEqual(Object.keys(whole.result()));
  for (const [name, [low, high]] of Object.entries(expected)) {
    expect(low).toBeLessThan(high);
    expect(found[name]![0], name).toBeCloseTo(low, 10);
    expect(found[name]![1], name).toBeCloseTo(high, 10);
  }
  expect(intervalsOf(collector().draws!())).toEqual({});
}

test('segmentation: images are drawn, with the pixels of all of their classes', () => {
  const images = [0, 1, 2, 3].map((image) => {
    // The fourth class is in one image only, and some pixels do not count.
    const truth = Array.from({ length: 20 }, () => (random.index(6) === 0 ? 255 : random.index(image === 3 ? 4 : 3)));
    return [{ outputs: { logits: draw(1, 4, 5, 4) }, targets: { labels: int64(truth, [1, 5, 4]) } }];
  });
  expectAnew(() => new SegmentationMetrics({ output: 'logits', labels: ['a', 'b', 'c', 'd'] }), images);
});

test('prompted masks: images are drawn, with all of their prompts', () => {
  const mask = () => ({ width: 4, height: 5, data: Uint8Array.from({ length: 20 }, (_, i) => Number(i === 7 || random.index(2) === 1)) }); // prettier-ignore
  // Two examples of the first image, of two prompts each; one weighs nothing.
  const images = [[0, 0], [1], [2], [3]].map((examples) =>
    examples.map((image, at) => ({
      outputs: { masks: draw(1, 2, 3, 5, 4), scores: draw(1, 2, 3) },
      targets: {
        ...packMasks([[mask(), mask()]]),
        weights: float32([1, at === 1 ? 0 : 1], [1, 2]),
        images: int64([image], [1]),
      },
    })),
  );
  const ports = { masks: 'masks', scores: 'scores', isSingle: false, pixels: 'x', inner: [] };
  const plan: ImagePlan = { normalization: { scale: 1, mean: [0, 0, 0], std: [1, 1, 1] } as never };
  expectAnew(() => new PromptableMetrics(ports, plan), images);
});

test('retrieval: those that ask are drawn, and search all others', () => {
  const labels = [0, 0, 0, 1, 1, 2, 2, 3];
  const embeddings = draw(labels.length, 4);
  const collector = new RetrievalMetrics((outputs) => outputs['e']!);
  const row = (from: number, to: number): Tensor =>
    float32(Array.from(embeddings.data.slice(4 * from, 4 * to) as Float32Array), [to - from, 4]);
  collector.update({ e: row(0, 3) }, { labels: int64(labels.slice(0, 3), [3]) });
  collector.result();
  collector.update({ e: row(3, 8) }, { labels: int64(labels.slice(3), [5]) });
  // By hand: which of the others is nearest by the cosine. The last has no other of its kind.
  const at = (i: number): number[] => Array.from(row(i, i + 1).data as Float32Array);
  const dot = (a: number[], b: number[]): number => a.reduce((sum, each, i) => sum + each * b[i]!, 0);
  const cosine = (i: number, j: number): number => dot(at(i), at(j)) / Math.hypot(...at(i)) / Math.hypot(...at(j));
  const first = labels.slice(0, 7).map((label, i) => {
    const others = labels.flatMap((_, j) => (j === i ? [] : [j]));
    const nearest = others.reduce((best, j) => (cosine(i, j) > cosine(i, best) ? j : best));
    return Number(labels[nearest] === label);
  });
  expect(collector.result()['recall@1']).toBeCloseTo(first.reduce((a, b) => a + b) / 7, 12);
  const share = (times: ArrayLike<number>): number => first.reduce((sum, hit, i) => sum + times[i]! * hit, 0) / 7;
  const found = intervalsOf(collector.draws());
  expect(found['recall@1']).toEqual(bootstrapIntervals((times) => ({ share: share(times) }), 7)['share']);
  expect(Object.keys(found)).toEqual(['recall@1', 'recall@5', 'recall@10', 'mapAtR']);
});

test('images and texts: images are drawn with their captions, and all are searched', () => {
  const numbers = [7, 7, 3, 5, 5, 5, 9];
  const [images, texts] = [draw(7, 3), draw(7, 3)];
  // All captions of an image come with the same image.
  numbers.forEach((number, i) => (images.data as Float32Array).copyWithin(3 * i, 3 * numbers.indexOf(number), 3 * numbers.indexOf(number) + 3)); // prettier-ignore
  const collector = new ImageTextMetrics({ imageEmbeds: 'i', textEmbeds: 't' } as never);
  collector.update({ i: images, t: texts }, { images: int64(numbers, [7]) });
  const row = (of: Tensor, i: number): number[] => Array.from(of.data.slice(3 * i, 3 * i + 3) as Float32Array);
  const unit = (values: number[]): number[] => values.map((each) => each / Math.hypot(...values));
  const likeness = (i: number, j: number): number =>
    unit(row(images, i)).reduce((sum, each, k) => sum + each * unit(row(texts, j))[k]!, 0);
  const distinct = [...new Set(numbers)];
  const best = (indices: number[], of: (i: number) => number): number => indices.reduce((a, b) => (of(b) > of(a) ? b : a)); // prettier-ignore
  const all = numbers.map((_, i) => i);
  const firsts = distinct.map((number) => numbers.indexOf(number));
  const toText = firsts.map((i) => Number(numbers[best(all, (j) => likeness(i, j))] === numbers[i]));
  const toImage = all.map((j) => Number(numbers[best(firsts, (i) => likeness(i, j))] === numbers[j]));
  const measure = (times: ArrayLike<number>): Record<string, number> => {
    const captions = all.map((j) => times[distinct.indexOf(numbers[j]!)]!);
    return {
      'imageToText@1': toText.reduce((sum, hit, i) => sum + times[i]! * hit, 0) / 4,
      'textToImage@1': toImage.reduce((sum, hit, j) => sum + captions[j]! * hit, 0) / captions.reduce((a, b) => a + b),
    };
  };
  expect(collector.result()).toMatchObject(measure([1, 1, 1, 1]));
  expect(intervalsOf(collector.draws())).toMatchObject(bootstrapIntervals(measure, 4));
});
