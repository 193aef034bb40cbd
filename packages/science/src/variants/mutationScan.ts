/** @file Scores every single substitution of a protein. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { RunnableModel } from '@onnx-lora/sdk/tasks';
import type { SequenceTokenizer } from '@onnx-lora/sequences';
import type { EffectScorer, ScoreOptions } from './effectScorer.ts';
import { openPredictedScorer, type PredictedScorerOptions } from './predictedScorer.ts';
import { openVariantScorer, type VariantScorerOptions } from './variantScorer.ts';

/** Every single substitution of a sequence. */
export interface MutationScan {
  /** The wild type. */
  readonly sequence: string;
  /** The substituted residues. */
  readonly residues: readonly string[];
  /** `[position, residue]`: effect of the substitution relative to the wild type; 0 for its own residue. */
  readonly scores: readonly (readonly number[])[];
}

/** How substitutions are scored. */
export interface MutationScannerOptions
  extends Omit<VariantScorerOptions, 'multiple'>, Pick<PredictedScorerOptions, 'value'> {
  /** `likelihood` (default): by a masked language model; `model`: by a model trained on measurements. */
  readonly by?: 'likelihood' | 'model' | undefined;
}

/** Options of a scan. */
export interface ScanOptions extends ScoreOptions {
  /** Residues to substitute; by default the 20 amino acids, or the 4 bases for a sequence of bases. */
  readonly residues?: readonly string[] | undefined;
}

/** Amino acids ordered by kind: small, aliphatic, aromatic, polar, charged. */
const aminoAcids = [...'GAPCVILMFWYHSTNQDEKR'];

/** @throws OnnxLoraError as {@link openVariantScorer} and `openPredictedScorer` */
export function openScanScorer(
  model: RunnableModel,
  { by = 'likelihood', method, value, ...options }: MutationScannerOptions,
): Promise<EffectScorer> {
  return by === 'model' ? openPredictedScorer(model, { ...options, value }) : openVariantScorer(model, { ...options, method }); // prettier-ignore
}

/**
 * In-silico mutagenesis: the effect of every single substitution.
 * @example
 * ```ts
 * const { residues, scores } = await mutationScan(model, 'MKTAYIAK');
 * const worst = Math.min(...scores[2]!); // at position 3
 * ```
 * @throws OnnxLoraError as {@link openVariantScorer}; `DATA_INVALID` for a letter that the model does not know
 */
export async function mutationScan(
  model: RunnableModel,
  sequence: string,
  { residues, onProgress, ...options }: MutationScannerOptions & ScanOptions = {},
): Promise<MutationScan> {
  const scorer = await openScanScorer(model, options);
  try {
    return await scanWith(scorer, sequence, { residues, onProgress });
  } finally {
    await scorer.release();
  }
}

/** Scans a sequence with an open scorer. */
export async function scanWith(
  scorer: EffectScorer,
  sequence: string,
  { residues = residuesFor(scorer.tokenizer, sequence), onProgress }: ScanOptions = {},
): Promise<MutationScan> {
  const letters = [...sequence];
  const variants = letters.flatMap((from, i) =>
    residues.filter((to) => to !== from).map((to) => ({ substitutions: [{ from, position: i + 1, to }] })),
  );
  const found = (await scorer.score(sequence, variants, { onProgress })).values();
  const scores = letters.map((from) => residues.map((to) => (to === from ? 0 : (found.next().value as number))));
  return { sequence, residues, scores };
}

/**
 * Residues to substitute: bases for a sequence of bases, unless the model is one of proteins.
 * @throws OnnxLoraError `DATA_INVALID` for other sequences, such as SMILES
 */
export function residuesFor(tokenizer: SequenceTokenizer, sequence: string): readonly string[] {
  const odd = /[^A-Z]/.exec(sequence);
  if (odd) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `Only proteins and nucleotides are scanned, in capital letters, and there is "${odd[0]}" at position ${odd.index + 1}.`,
    );
  }
  const known = (letter: string): boolean => {
    const { ids } = tokenizer.tokens(letter);
    return ids.length === 1 && ids[0] !== tokenizer.unknownId;
  };
  if (/[^ACGTUN]/.test(sequence) || aminoAcids.every(known)) return aminoAcids;
  return [...(sequence.includes('U') ? 'ACGU' : 'ACGT')];
}
