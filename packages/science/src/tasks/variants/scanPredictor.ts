/** @file Predicts and draws the effect of every single substitution of a sequence. */

import { type Predictor, type ReportSection, type RunnableModel, sourcePredictor } from '@onnx-lora/sdk/tasks';
import { withSourceLocation } from '@onnx-lora/sdk/data';
import type { SequenceDataOptions } from '../../data/sequenceRecord.ts';
import { streamSequences } from '../../data/streamSequences.ts';
import type { EffectScorer } from '../../variants/effectScorer.ts';
import {
  type MutationScan,
  type MutationScannerOptions,
  openScanScorer,
  residuesFor,
  scanWith,
} from '../../variants/mutationScan.ts';

/** A heat map of residues by positions, with the wild type marked; colours diverge at 0, the wild type's score. */
export function scanSection({ sequence, residues, scores }: MutationScan, title: string, text: string): ReportSection {
  const letters = [...sequence];
  const own = letters.flatMap((letter, position) => {
    const row = residues.indexOf(letter);
    return row < 0 ? [] : [[row, position] as const];
  });
  return {
    kind: 'heatmap',
    title,
    text,
    x: 'Position',
    y: 'Residue put in',
    rows: residues,
    columns: letters.map((letter, position) => `${letter}${position + 1}`),
    values: residues.map((_, row) => scores.map((ofPosition) => ofPosition[row]!)),
    centre: 0,
    marked: own,
  };
}

/** Maximum heat maps. */
const SHOWN = 8;

const meanings = {
  likelihood:
    'Log-odds of each residue against that of the wild type: below 0 the model finds it less likely than the wild type, and that is not a measured effect.',
  model: 'Prediction for each substitution, minus the prediction for the wild type.',
} as const;

/** Answers `{ id, mutation, score }` for each substitution of each sequence, and reports heat maps. */
export function scanPredictor(
  model: RunnableModel,
  { residues, ...scoring }: MutationScannerOptions & { readonly residues?: readonly string[] | undefined },
  data: SequenceDataOptions,
): Predictor {
  let opened: Promise<EffectScorer> | undefined;
  const shown: { readonly id: string; readonly scan: MutationScan }[] = [];
  return sourcePredictor({
    async *answers(source, { skip, batchSize }) {
      const scorer = await (opened ??= openScanScorer(model, { ...scoring, batchSize }));
      for await (const { record, read, total } of streamSequences(source, data)) {
        const { id, sequence, where } = record;
        const place = { file: id, place: where };
        const put = residues ?? (await withSourceLocation(place, async () => residuesFor(scorer.tokenizer, sequence)));
        const count = [...sequence].reduce((sum, letter) => sum + put.length - (put.includes(letter) ? 1 : 0), 0);
        if (count <= skip.left) {
          skip.left -= count;
          continue;
        }
        const scan = await withSourceLocation(place, () => scanWith(scorer, sequence, { residues: put }));
        if (shown.length < SHOWN) shown.push({ id, scan });
        const answers = substitutionsIn(scan).slice(skip.left);
        skip.left = 0;
        const bytes = { read, ...(total === undefined ? {} : { total }) };
        for (const each of answers) yield { prediction: { id, ...each }, ...bytes };
      }
    },
    sections: (): ReportSection[] =>
      shown.map(({ id, scan }) => scanSection(scan, `Substitutions of ${id}`, meanings[scoring.by ?? 'likelihood'])),
    release: async () => (await opened)?.release(),
  });
}

function substitutionsIn({ sequence, residues, scores }: MutationScan): { mutation: string; score: number }[] {
  return [...sequence].flatMap((from, position) =>
    residues.flatMap((to, i) =>
      to === from ? [] : [{ mutation: `${from}${position + 1}${to}`, score: scores[position]![i]! }],
    ),
  );
}
