/** @file Entities in words with classes, and how many of them are found: as seqeval counts. */

import {
  bootstrapDraws,
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
 * The entities that tags mark, also where an I begins one.
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

/** The entities of a text: those of its data, and those that were found. */
export interface EntityAnswers {
  /** Tokens of the words that are known, in their order; entities count these. */
  readonly parts: readonly number[];
  readonly truths: readonly Entity[];
  readonly named: readonly Entity[];
}

/**
 * The entities of the answers about a text.
 * @param isMarked false where classes mark no entities, and each word is a thing by itself
 */
export function entityAnswers(
  answers: readonly PartAnswer<number>[],
  labels: readonly string[],
  isMarked = true,
): EntityAnswers {
  const places = new Map(answers.map((answer) => [answer.part, answer]));
  const parts = [...places.keys()].sort((a, b) => a - b);
  // Words of which nothing is known are passed over.
  const entities = (of: (answer: PartAnswer<number>) => number): Entity[] => {
    const tags = parts.map((part) => labels[of(places.get(part)!)]!);
    return isMarked ? entitiesOf(tags) : tags.map((label, i) => ({ label, from: i, to: i }));
  };
  return { parts, truths: entities(({ truth }) => truth), named: entities(({ values }) => bestOf(values)) };
}
