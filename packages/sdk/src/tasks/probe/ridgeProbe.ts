/** @file A new head initialised by ridge regression on the frozen model. */

import { matrix } from '../../linalg/matrix.ts';
import type { HeadFeatures, HeadValues } from '../../plugin/preparedTask.ts';
import { standardise, standardisationOf, takeRows } from '../embedding/rows.ts';
import { fitRidge } from './ridge.ts';

/**
 * Fits ridge regression on standardised features with the most cautious penalty, and folds the standardisation into the
 * layer. Larger weights fit a little better, but fail as soon as an adapter changes the features. A random head would
 * learn slowly where features hardly differ, such as those of variants of one protein. `targets` are the wanted outputs
 * for an example of the dataset.
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
  // Outputs without missing values share a decomposition.
  const groups = hasGaps ? [...bias.keys()].map((output) => [output]) : [[...bias.keys()]];
  for (const group of groups) {
    const known = [...wanted.keys()].filter((row) => group.every((output) => !Number.isNaN(wanted[row]![output]!)));
    if (known.length < 2) continue;
    const own = hasGaps ? takeRows(features, known) : features;
    const scaling = standardisationOf(own);
    const values = known.flatMap((row) => group.map((output) => wanted[row]![output]!));
    const ridge = fitRidge(standardise(own, scaling), matrix(known.length, group.length, values), { isCautious: true });
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
