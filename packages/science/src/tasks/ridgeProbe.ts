/** @file A new head that starts as ridge regression on the frozen model. */

import { type HeadFeatures, type HeadValues, takeRows } from '@onnx-lora/sdk/tasks';
import { matrix } from '@onnx-lora/sdk/plugin';
import { fitRidge } from '../baselines/ridge.ts';
import { scaled, scalingOf } from '../baselines/scaling.ts';

/** Of many classes a wrong start must not be a sure one. */
const MOST_SLOPE = 10;

/**
 * Ridge on features of deviation 1, with the largest penalty that is about as good as any when each example is left out in turn,
 * written as a layer that reads the features as they are. Larger weights fit a little better, and answer wildly as soon as an
 * adapter changes the features. Features of like sequences hardly differ, such as those of variants of one protein: a head that
 * starts at random takes very long to see the difference.
 *
 * @param targets what the head should say of each example of the dataset
 */
export function ridgeProbe(
  { examples, data, width }: HeadFeatures,
  targets: (example: number) => readonly number[],
): HeadValues {
  const wanted = examples.map(targets);
  const outputs = wanted[0]!.length;
  const weight = new Float32Array(outputs * width);
  const bias = new Float32Array(outputs);
  const features = matrix(examples.length, width, data);
  const hasGaps = wanted.some((row) => row.some(Number.isNaN));
  // Numbers that were all measured share a decomposition.
  const groups = hasGaps ? [...bias.keys()].map((output) => [output]) : [[...bias.keys()]];
  for (const group of groups) {
    const known = [...wanted.keys()].filter((row) => group.every((output) => !Number.isNaN(wanted[row]![output]!)));
    if (known.length < 2) continue;
    const own = hasGaps ? takeRows(features, known) : features;
    const scaling = scalingOf(own);
    const values = known.flatMap((row) => group.map((output) => wanted[row]![output]!));
    const ridge = fitRidge(scaled(own, scaling), matrix(known.length, group.length, values), { isCautious: true });
    group.forEach((output, j) => {
      bias[output] = ridge.bias[j]!;
      for (let i = 0; i < width; i++) {
        const value = ridge.weight.data[i * group.length + j]! / scaling.deviation[i]!;
        weight[output * width + i] = value;
        bias[output]! -= value * scaling.mean[i]!;
      }
    });
  }
  return { weight, bias };
}

/**
 * The same for classes: ridge finds about the probability p of each class, and a score of count · p has that probability at first
 * order around 1 ÷ count.
 *
 * @param classOf the class of each example of the dataset
 */
export function classProbe(features: HeadFeatures, count: number, classOf: (example: number) => number): HeadValues {
  const probe = ridgeProbe(features, (example) =>
    Array.from({ length: count }, (_, c) => Number(classOf(example) === c)),
  );
  const slope = Math.min(count, MOST_SLOPE);
  return { weight: probe.weight.map((value) => slope * value), bias: probe.bias.map((value) => slope * value) };
}

/** The same for labels that are given or not: at first order around a half, the score of a probability p is 4 · (p − ½). */
export function labelProbe(features: HeadFeatures, labelsOf: (example: number) => readonly number[]): HeadValues {
  const { weight, bias } = ridgeProbe(features, labelsOf);
  return { weight: weight.map((value) => 4 * value), bias: bias.map((value) => 4 * (value - 0.5)) };
}
