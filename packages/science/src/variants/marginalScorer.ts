/** @file Scores substitutions by the log-odds of residues at their positions. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { Substitution } from '../data/sequenceRecord.ts';
import type { TokenScores } from './tokenScores.ts';
import { nameOfVariant, substitutionsOf, type Variant, type VariantScorer } from './effectScorer.ts';
import { type Masking, WildType } from './wildType.ts';

/** Masked marginals and wild-type marginals. */
export function marginalScorer(scores: TokenScores, masking: Masking): VariantScorer {
  let known: WildType | undefined;
  return {
    tokenizer: scores.tokenizer,
    score: async (sequence, variants, { onProgress } = {}) => {
      if (known?.sequence !== sequence) known = new WildType(sequence, masking, scores);
      const wildType = known;
      const all = variants.map((variant) => requireSubstitutions(variant, sequence));
      await wildType.ask(all, onProgress);
      return all.map((substitutions) => wildType.logOdds(substitutions));
    },
    likelihoods: () => Promise.reject(noWildType()),
    release: () => scores.release(),
    [Symbol.asyncDispose]: () => scores.release(),
  };
}

function requireSubstitutions(variant: Variant, wildType: string): readonly Substitution[] {
  const substitutions = substitutionsOf(variant, wildType);
  if (substitutions) return substitutions;
  throw new OnnxLoraError(
    'DATA_INVALID',
    `The variant "${nameOfVariant(variant)}" has ${variant.sequence!.length} residues, and the wild type ${wildType.length}: some were inserted or deleted, and marginals compare position by position. Choose the method pseudo-perplexity, or leave it out.`,
  );
}

/** For data of variants of which the wild type is not known. */
export function noWildType(): OnnxLoraError {
  return new OnnxLoraError(
    'DATA_INVALID',
    'Variants are compared with their wild type, and it is not known. Give the sequence, or a FASTA file with it (wildType, on the command line --set wildType=…); or choose the method pseudo-perplexity, which judges sequences by themselves.',
  );
}
