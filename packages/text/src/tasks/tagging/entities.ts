/** @file Entities of tagged words and their metrics, as in seqeval. */

import {
  bootstrapDraws,
  drawsFor,
  type MetricCollector,
  type MetricsNamed,
  type PartAnswer,
} from '@onnx-lora/sdk/tasks';
import { bestOf, tokenClassMetrics, type TokenClassScores, type TokenMetricsOptions } from '@onnx-lora/sequences';

/** An entity: a run of words with one label. */
export interface Entity {
  /** The label without its mark: `LOC` of B-LOC and I-LOC. */
  readonly label: string;
  /** Indices of the first and the last word. */
  readonly from: number;
  readonly to: number;
}

/** Whether the classes mark entities: O, and B-LOC, I-LOC and the like. */
export function areEntities(labels: readonly string[]): boolean {
  return labels.includes('O') && labels.every((label) => label === 'O' || /^[BIES]-./.test(label));
}

/**
 * The entities that tags mark, including those that start with an I.
 * @param tags class per word; undefined, as O, is outside of entities
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

/** Metrics of word classes and entities. */
export type EntityScores = TokenClassScores & MetricsNamed<'loss' | 'entityF1' | 'entityPrecision' | 'entityRecall'>;

interface Counts {
  readonly right: number;
  readonly named: number;
  readonly true: number;
}

/** Metrics of word classes, and of entities: F1, precision and recall of exact matches, over all texts. */
export function entityMetrics(options: TokenMetricsOptions): MetricCollector<EntityScores> {
  const metrics = tokenClassMetrics(options);
  const counts: Counts[] = [];
  const { labels } = options;
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
    draws: () => {
      const own = metrics.draws();
      return { ...own, ...bootstrapDraws(measure, counts.length, { samples: drawsFor(counts.length) }) };
    },
    ...(metrics.confusion && { confusion: metrics.confusion }),
  };
}

function countsOf(answers: readonly PartAnswer<number>[], labels: readonly string[]): Counts {
  const { truths, named } = entityAnswers(answers, labels);
  const keys = new Set(truths.map(keyOf));
  return { right: named.filter((each) => keys.has(keyOf(each))).length, named: named.length, true: truths.length };
}

function keyOf({ label, from, to }: Entity): string {
  return `${label} ${from} ${to}`;
}

/** The entities of a text: true and predicted ones. */
export interface EntityAnswers {
  /** Tokens of the words with known classes, in order; entities index these. */
  readonly parts: readonly number[];
  readonly truths: readonly Entity[];
  readonly named: readonly Entity[];
}

/** The true and predicted entities of a text; with `isMarked` false each word counts as one. */
export function entityAnswers(
  answers: readonly PartAnswer<number>[],
  labels: readonly string[],
  isMarked = true,
): EntityAnswers {
  const places = new Map(answers.map((answer) => [answer.part, answer]));
  const parts = [...places.keys()].sort((a, b) => a - b);
  // Skips words without a known class.
  const entities = (of: (answer: PartAnswer<number>) => number): Entity[] => {
    const tags = parts.map((part) => labels[of(places.get(part)!)]!);
    return isMarked ? entitiesOf(tags) : tags.map((label, i) => ({ label, from: i, to: i }));
  };
  return { parts, truths: entities(({ truth }) => truth), named: entities(({ values }) => bestOf(values)) };
}
