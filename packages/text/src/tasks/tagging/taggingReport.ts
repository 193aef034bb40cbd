/** @file The report of token classification: baselines, class by class, and the texts with the most mistakes. */

import {
  batchesOf,
  classTable,
  type PartAnswer,
  type ReportClip,
  type ReportMark,
  type ReportRequest,
  type ReportSection,
} from '@onnx-lora/sdk/tasks';
import { classComparison, type PartReportOptions, tokenClassMetrics } from '@onnx-lora/sequences';
import { type TaggedText, words } from '../../data/taggedText.ts';
import { areEntities, type Entity, entityAnswers, type EntityAnswers } from './entities.ts';

/** Maximum number of texts. */
const SHOWN = 20;
/** Maximum characters between two entities. */
const LETTERS = 160;

/** An entity with its mistake, if any. */
type Compared = Entity & { readonly mark?: ReportMark };

const marks: Readonly<Record<ReportMark, string>> = {
  missing: 'in the data, not found',
  extra: 'found, not in the data',
  wrong: 'of another class, or with other borders',
};

/** Tables of classes and entities besides majority baselines, and the texts with the most mistakes. */
export async function taggingReport(
  options: PartReportOptions<TaggedText>,
  request: ReportRequest,
): Promise<readonly ReportSection[]> {
  const { validation, collate, labels, tokenizer, hasOwnHead } = options;
  const hasEntities = areEntities(labels);
  const adapted = tokenClassMetrics(options);
  const base = hasOwnHead ? tokenClassMetrics(options) : undefined;
  const rows: { readonly wrong: number; readonly clip: ReportClip }[] = [];
  const found: EntityAnswers[] = [];
  adapted.onRecord = (number, answers: readonly PartAnswer<number>[]) => {
    const answered = entityAnswers(answers, labels, hasEntities);
    found.push(answered);
    const { truths, named } = compared(answered);
    const wrong = named.filter(({ mark }) => mark).length + truths.filter(({ mark }) => mark).length;
    if (wrong === 0) return;
    const record = validation.records[number]!;
    const parts = words.ofTokens(record, tokenizer);
    const places = answered.parts.map((part) => record.words[parts[part]!]!);
    // Without entities only mistakes are shown.
    const isShown = (_: Compared, i: number): boolean => hasEntities || named[i]!.mark !== undefined;
    const clip = {
      title: `${record.id}: ${wrong} mistake${wrong === 1 ? '' : 's'}`,
      lines: [
        { label: 'expected', pieces: pieces(record, places, truths.filter(isShown)) },
        { label: 'found', pieces: pieces(record, places, named.filter(isShown)) },
      ],
    };
    rows.push({ wrong, clip });
  };
  for await (const { batch } of batchesOf({ dataset: validation, collate }, request.batchSize)) {
    adapted.update(await request.run(batch.inputs, 'adapted'), batch.targets);
    base?.update(await request.run(batch.inputs, 'base'), batch.targets);
  }
  const { tally } = adapted;
  const worst = rows.toSorted((a, b) => b.wrong - a.wrong).slice(0, SHOWN);
  return [
    classComparison(options, { noun: 'words', each: 'word, by its first token' }, tally, base?.tally),
    ...(hasEntities ? [entityTable(found)] : []),
    classTable(tally.confusion(), 'words'),
    {
      kind: 'clips',
      title: 'Texts with the most mistakes',
      text: `${rows.length} of ${validation.records.length} held-out texts have a mistake.`,
      clips: worst.map(({ clip }) => clip),
      marks,
    },
  ];
}

/** Marks true entities without an overlapping predicted one, and predicted ones that differ or overlap with none. */
function compared({ truths, named }: Pick<EntityAnswers, 'truths' | 'named'>): {
  readonly truths: readonly Compared[];
  readonly named: readonly Compared[];
} {
  const meets = (a: Entity, b: Entity): boolean => a.from <= b.to && b.from <= a.to;
  return {
    truths: truths.map((each) => (named.some((other) => meets(each, other)) ? each : { ...each, mark: 'missing' })),
    named: named.map((each) => {
      const met = truths.filter((other) => meets(each, other));
      const isRight = met.some(({ label, from, to }) => label === each.label && from === each.from && to === each.to);
      return isRight ? each : { ...each, mark: met.length === 0 ? 'extra' : 'wrong' };
    }),
  };
}

/** A text as pieces with labelled entities; long gaps between them are shortened. */
function pieces(
  { sequence }: TaggedText,
  places: readonly (readonly [start: number, end: number])[],
  entities: readonly Compared[],
): ReportClip['lines'][number]['pieces'] {
  const all: ReportClip['lines'][number]['pieces'][number][] = [];
  let at = 0;
  const plain = (to: number): void => {
    const text = sequence.slice(at, to).trim();
    if (text === '') return;
    all.push({ text: text.length > LETTERS ? `${text.slice(0, LETTERS / 2)} … ${text.slice(-LETTERS / 2)}` : text });
  };
  for (const { label, from, to, mark } of entities) {
    const [start, end] = [places[from]![0], places[to]![1]];
    plain(start);
    all.push({ text: sequence.slice(start, end), label, ...(mark && { mark }) });
    at = end;
  }
  plain(sequence.length);
  return all;
}

/** A row per entity label: its counts, metrics and kinds of mistakes. */
function entityTable(found: readonly EntityAnswers[]): ReportSection {
  const all = found.map(compared);
  const names = new Set(all.flatMap(({ truths, named }) => [...truths, ...named].map(({ label }) => label)));
  const count = (label: string, side: 'truths' | 'named', mark?: ReportMark | 'any'): number =>
    all.flatMap((each) => each[side]).filter((each) => each.label === label && (mark === 'any' || each.mark === mark))
      .length;
  const share = (part: number, of: number): number => (of === 0 ? 0 : Number((part / of).toFixed(4)));
  return {
    kind: 'table',
    title: 'Entities',
    text: 'An entity is right where its class and its words are. Missed: in the data, with nothing found in its place. Invented: found, with nothing in the data in its place. Wrong: of another class, or with other borders.',
    columns: ['entity', 'in the data', 'precision', 'recall', 'F1', 'missed', 'invented', 'wrong'],
    rows: [...names].sort().map((label) => {
      const [own, named] = [count(label, 'truths', 'any'), count(label, 'named', 'any')];
      const right = count(label, 'named');
      return [
        label,
        own,
        share(right, named),
        share(right, own),
        share(2 * right, own + named),
        count(label, 'truths', 'missing'),
        count(label, 'named', 'extra'),
        count(label, 'named', 'wrong'),
      ];
    }),
  };
}
