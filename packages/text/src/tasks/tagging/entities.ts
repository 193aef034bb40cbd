/** @file Entities in words with classes, and how many of them are found: as seqeval counts. */

import {
  bootstrapIntervals,
  drawsFor,
  type MetricCollector,
  type MetricsNamed,
  type PartAnswer,
} from '@onnx-lora/sdk/tasks';
import { bestOf, tokenClassMetrics, type TokenClassScores, type TokenMetricsOptions } from '@onnx-lora/sequences';

/** Some words that are one thing. */
export interface Entity {
  /** What it is: `LOC`, of B-LOC and I-LOC. */
  readonly label: string;
  /** Its first word, and its last. */
  readonly from: number;
  readonly to: number;
}

/** Whether classes mark beginnings and insides of entities: O, and B-LOC, I-LOC and their kin. */
export function areEntities(labels: readonly string[]): boolean {
  return labels.includes('O') && labels.every((label) => label === 'O' || /^[BIES]-./.test(label));
}

/**
 * The entities that classes mark, also where an I begins one.
 *
 * @param tags the class of each word; undefined, as O, is in no entity
 * @see seqeval, sequence_labeling.py, get_entities, which follows CoNLL's conlleval
 */
export function entitiesOf(tags: readonly (string | undefined)[]): Entity[] {
  const found: Entity[] = [];
  let open: { readonly label: string; readonly from: number } | undefined;
  let before: readonly [mark: string, label: string] = ['O', ''];
  [...tags, 'O'].forEach((tag = 'O', i) => {
    const [mark, label] = [tag[0]!, tag.slice(2)] as const;
    const isSame = label === before[1];
    const ends = 'ES'.includes(before[0]) || 'BSO'.includes(mark) || !isSame;
    if (open && before[0] !== 'O' && ends) {
      found.push({ ...open, to: i - 1 });
      open = undefined;
    }
    const begins = 'BS'.includes(mark) || ('IE'.includes(mark) && ('ESO'.includes(before[0]) || !isSame));
    if (begins) open = { label, from: i };
    before = [mark, label];
  });
  return found;
}

/** What is measured of entities. */
export type EntityScores = TokenClassScores & MetricsNamed<'loss' | 'entityF1' | 'entityPrecision' | 'entityRecall'>;

/** Counts of a text. */
interface Counts {
  readonly right: number;
  readonly named: number;
  readonly true: number;
}

/** Measures classes of words, and entities where classes mark some: F1, precision and recall over all, exact in words and label. */
export function entityMetrics(options: TokenMetricsOptions): MetricCollector<EntityScores> {
  const metrics = tokenClassMetrics(options);
  const counts: Counts[] = [];
  const { labels, seed } = options;
  metrics.onRecord = (_, answers) => counts.push(countsOf(answers, labels));
  const measure = (times?: ArrayLike<number>): MetricsNamed<'entityF1' | 'entityPrecision' | 'entityRecall'> => {
    const sum = (of: keyof Counts): number => counts.reduce((all, each, i) => all + (times?.[i] ?? 1) * each[of], 0);
    const [right, named, own] = [sum('right'), sum('named'), sum('true')];
    const share = (of: number): number => (of === 0 ? 0 : right / of);
    return { entityF1: named + own === 0 ? 0 : (2 * right) / (named + own), entityPrecision: share(named), entityRecall: share(own) }; // prettier-ignore
  };
  return {
    update: (outputs, targets) => metrics.update(outputs, targets),
    result: () => ({ ...metrics.result(), ...measure() }),
    intervals: () => {
      const own = metrics.intervals();
      return { ...own, ...bootstrapIntervals(measure, counts.length, { seed, samples: drawsFor(counts.length) }) };
    },
    ...(metrics.confusion && { confusion: metrics.confusion }),
  };
}

function countsOf(answers: readonly PartAnswer<number>[], labels: readonly string[]): Counts {
  const places = new Map(answers.map((answer) => [answer.part, answer]));
  const all = [...places.keys()].sort((a, b) => a - b);
  // Words of which nothing is known are between entities.
  const tags = (of: (answer: PartAnswer<number>) => number): (string | undefined)[] => all.map((part) => labels[of(places.get(part)!)]); // prettier-ignore
  const [truths, named] = [entitiesOf(tags(({ truth }) => truth)), entitiesOf(tags(({ values }) => bestOf(values)))];
  const keys = new Set(truths.map(({ label, from, to }) => `${label} ${from} ${to}`));
  const right = named.filter(({ label, from, to }) => keys.has(`${label} ${from} ${to}`)).length;
  return { right, named: named.length, true: truths.length };
}
