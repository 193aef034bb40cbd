/** @file ROC and precision-recall curves, one per class or label. */

import { precisionRecallCurve, rankingMeasure, type ReportSection, rocCurve } from '@onnx-lora/sdk/tasks';

/** Predictions on held-out sequences. */
export interface ScoredClasses {
  /** Names of the classes or labels, in the column order of `scores`. */
  readonly names: readonly string[];
  /** `[sequences, classes]`, row by row. */
  readonly scores: ArrayLike<number>;
  /** 1 if the class or label is right; shape as `scores`. */
  readonly truths: ArrayLike<number | boolean>;
}

const MOST_CLASSES = 12;
const MOST_POINTS = 200;

/** Both curves with their areas; empty if no class can be told from the others. */
export function curveSections(classes: ScoredClasses): readonly ReportSection[] {
  const { names, scores, truths } = classes;
  const count = names.length;
  const size = truths.length / count;
  const of = <Value>(values: ArrayLike<Value>, c: number): Value[] =>
    Array.from({ length: size }, (_, i) => values[i * count + c]!);
  const all = names
    .map((name, c) => {
      const own = { scores: of(scores, c), truths: of(truths, c) };
      const examples = own.truths.filter(Boolean).length;
      return { name, examples, ...own };
    })
    .filter(({ examples }) => examples > 0 && examples < size);
  // For two classes one curve suffices.
  const candidates = count === 2 && all.length === 2 && isOneOf(truths, count) ? all.slice(1) : all;
  const drawn = candidates.toSorted((a, b) => b.examples - a.examples).slice(0, MOST_CLASSES);
  if (drawn.length === 0) return [];
  const some = drawn.length < candidates.length ? ` The ${drawn.length} with most examples are drawn.` : '';
  const areas = drawn.map((each) => rankingMeasure(each.scores, each.truths)());
  return [
    {
      kind: 'lines',
      title: 'ROC curves',
      text: `For every threshold, the share of a class that is found, over the share of all else that is taken for it. The area is 1 where all come first, and 0.5 by chance (dashed).${some}`,
      x: 'false positive rate',
      y: 'true positive rate',
      diagonal: true,
      series: drawn.map(({ name, scores: own, truths: right }, i) => ({
        name: `${name} (${areas[i]!.auroc.toFixed(3)})`,
        points: thinned(rocCurve(own, right)),
      })),
    },
    {
      kind: 'lines',
      title: 'Precision and recall',
      text: `For every threshold, the share that is right of what is taken for a class, over the share of the class that is found. Where a class is rare this tells more than the ROC curve; by chance the precision is the share of the class.${some}`,
      x: 'recall',
      y: 'precision',
      series: drawn.map(({ name, scores: own, truths: right }, i) => ({
        name: `${name} (${areas[i]!.averagePrecision.toFixed(3)})`,
        points: thinned(precisionRecallCurve(own, right)),
      })),
    },
  ];
}

/** Whether the labels are exclusive. */
function isOneOf(truths: ArrayLike<number | boolean>, count: number): boolean {
  for (let i = 0; i < truths.length; i += count) {
    let sum = 0;
    for (let c = 0; c < count; c++) sum += Number(truths[i + c]);
    if (sum !== 1) return false;
  }
  return true;
}

function thinned(points: readonly (readonly [number, number])[]): readonly (readonly [number, number])[] {
  const step = Math.ceil(points.length / MOST_POINTS);
  return points.filter((_, i) => i % step === 0 || i === points.length - 1);
}
