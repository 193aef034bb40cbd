/** @file Predictor of zero-shot variant effects for the command line. */

import { type Answer, type Predictor, type RunnableModel, sourcePredictor } from '@onnx-lora/sdk/tasks';
import type { SequenceDataOptions, SequenceRecord } from '../../data/sequenceRecord.ts';
import { streamSequences } from '../../data/streamSequences.ts';
import type { VariantScorer } from '../../variants/effectScorer.ts';
import { isPseudo, openVariantScorer, type VariantScorerOptions } from '../../variants/variantScorer.ts';
import { variantOf } from './variantEffect.ts';

/** Variants scored together, which share positions and fill batches. */
const VARIANTS = 4096;
/** Fewer where every residue takes a pass, so that answers keep coming. */
const PSEUDO_VARIANTS = 32;
/** Maximum residues in memory, unless a single variant has more. */
const RESIDUES = 4e6;

interface Waiting {
  readonly record: SequenceRecord;
  readonly read: number;
  readonly total: number | undefined;
}

/** Answers `{ id, score }` for each record; without a wild type, whole-sequence methods give likelihoods. */
export function variantPredictor(
  model: RunnableModel,
  scoring: VariantScorerOptions,
  data: SequenceDataOptions,
): Predictor {
  let opened: Promise<VariantScorer> | undefined;
  const most = isPseudo(scoring.method) ? PSEUDO_VARIANTS : VARIANTS;
  return sourcePredictor({
    async *answers(source, { skip, batchSize }) {
      const scorer = await (opened ??= openVariantScorer(model, { ...scoring, batchSize }));
      let waiting: Waiting[] = [];
      let residues = 0;
      let ofWaiting: string | undefined;
      for await (const { record, read, total, wildType } of streamSequences(source, data)) {
        if (skip.left > 0) {
          skip.left--;
          continue;
        }
        if (waiting.length >= most || residues >= RESIDUES || wildType !== ofWaiting) {
          yield* await answered(scorer, waiting, ofWaiting);
          [waiting, residues] = [[], 0];
        }
        ofWaiting = wildType;
        waiting.push({ record, read, total });
        residues += record.sequence.length;
      }
      yield* await answered(scorer, waiting, ofWaiting);
    },
    release: async () => (await opened)?.release(),
  });
}

async function answered(
  scorer: VariantScorer,
  waiting: readonly Waiting[],
  wildType: string | undefined,
): Promise<Omit<Answer, 'source'>[]> {
  if (waiting.length === 0) return [];
  const records = waiting.map(({ record }) => record);
  const scores =
    wildType === undefined
      ? await scorer.likelihoods(records.map(({ sequence }) => sequence))
      : await scorer.score(wildType, records.map(variantOf));
  return waiting.map(({ record, read, total }, i) => ({
    prediction: { id: record.id, score: scores[i]! },
    read,
    ...(total === undefined ? {} : { total }),
  }));
}
