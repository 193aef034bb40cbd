/** @file A variant of a protein, and how it differs from the wild type. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { mutated, mutationsBetween, nameOfMutations } from '../data/mutations.ts';
import type { Substitution } from '../data/sequenceRecord.ts';

/** A variant: what is substituted in the wild type, or its whole sequence, which may be longer or shorter. */
export interface Variant {
  /** What it is called in messages; its mutations by default. */
  readonly id?: string;
  /** How it differs from the wild type. */
  readonly substitutions?: readonly Substitution[];
  /** Not needed where there are substitutions. */
  readonly sequence?: string;
}

/** What a variant is called in messages. */
export function nameOfVariant({ id, substitutions, sequence = '' }: Variant): string {
  if (id !== undefined) return id;
  if (substitutions) return nameOfMutations(substitutions);
  return sequence.length > 40 ? `${sequence.slice(0, 40)}…` : sequence;
}

/**
 * What a variant substitutes; undefined where it has another length than the wild type, so that residues were inserted or
 * deleted.
 *
 * @throws OnnxLoraError `DATA_INVALID` where a substitution does not fit the wild type, naming both
 */
export function substitutionsOf(variant: Variant, wildType: string): readonly Substitution[] | undefined {
  const sequence = sequenceOf(variant, wildType);
  return sequence.length === wildType.length ? mutationsBetween(wildType, sequence) : undefined;
}

/**
 * The variant's whole sequence.
 *
 * @throws OnnxLoraError as {@link substitutionsOf}
 */
export function sequenceOf(variant: Variant, wildType: string): string {
  const { substitutions, sequence } = variant;
  if (substitutions) return mutated(wildType, substitutions, nameOfVariant(variant));
  if (sequence !== undefined) return sequence;
  throw new OnnxLoraError(
    'DATA_INVALID',
    `The variant "${nameOfVariant(variant)}" has neither substitutions nor a sequence. Give one of them.`,
  );
}
