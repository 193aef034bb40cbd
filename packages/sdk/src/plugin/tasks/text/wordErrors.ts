/** @file Error rates of texts that were heard or read, over a whole corpus as jiwer gives them. */

import { OnnxLoraError } from '../../../errors.ts';
import { countEdits, type EditCounts } from './edits.ts';

/** Error rates as fractions: 0.25 is 25 %. Each is over all utterances together, not the mean of theirs. */
export interface ErrorRates {
  /** Word error rate: edits over words of the references. More than 1 where much is heard that was not said. */
  readonly wer: number;
  /** Match error rate: edits over all places of the alignment, at most 1. */
  readonly mer: number;
  /** Word information lost, at most 1. */
  readonly wil: number;
  /** Character error rate: edits over characters of the references, spaces between words counted. */
  readonly cer: number;
  /** Counts of edits by words, of which `wer`, `mer` and `wil` are made. */
  readonly words: EditCounts;
  /** Counts of edits by characters, of which `cer` is made. */
  readonly characters: EditCounts;
  /** How many utterances are counted. */
  readonly utterances: number;
  /** How many are left out because their reference has no word, such as silence. */
  readonly skipped: number;
}

/** Counts the errors of transcripts as they come, and keeps none of them. */
export class ErrorCounter {
  readonly #normalise: (text: string) => string;
  #words = noEdits;
  #characters = noEdits;
  #utterances = 0;
  #skipped = 0;

  /**
   * A counter that has seen nothing yet.
   *
   * @param normalise makes texts alike that say the same; case and punctuation count without one
   */
  constructor(normalise: (text: string) => string = (text) => text) {
    this.#normalise = normalise;
  }

  /** Takes in what was said and what was heard. An utterance whose reference has no word is only counted as skipped. */
  add(reference: string, hypothesis: string): void {
    const [said, heard] = [this.#normalise(reference).trim(), this.#normalise(hypothesis).trim()];
    const words = wordsOf(said);
    if (words.length === 0) {
      this.#skipped++;
      return;
    }
    this.#utterances++;
    this.#words = plus(this.#words, countEdits(words, wordsOf(heard)));
    this.#characters = plus(this.#characters, countEdits([...said], [...heard]));
  }

  /**
   * The rates of all that came.
   *
   * @throws OnnxLoraError `DATA_INVALID` when no reference has a word
   */
  rates(): ErrorRates {
    if (this.#utterances === 0) {
      throw new OnnxLoraError(
        'DATA_INVALID',
        `There is no error rate: ${this.#skipped === 0 ? 'no transcript was given' : `none of ${this.#skipped} transcripts has a word`}. Check which column of the data holds the transcripts.`,
      );
    }
    const { hits, deletions, insertions } = this.#words;
    const edits = editsOf(this.#words);
    const said = saidOf(this.#words);
    const heard = said - deletions + insertions;
    return {
      wer: edits / said,
      mer: edits / (hits + edits),
      wil: 1 - (heard === 0 ? 0 : (hits / said) * (hits / heard)),
      cer: editsOf(this.#characters) / saidOf(this.#characters),
      words: this.#words,
      characters: this.#characters,
      utterances: this.#utterances,
      skipped: this.#skipped,
    };
  }
}

/**
 * The error rates of transcripts: WER, MER, WIL and CER with the counts that they come from, as jiwer gives them.
 *
 * @param references what was said
 * @param hypotheses what was heard, in the same order
 * @param normalise makes texts alike that say the same, such as `englishNormaliser` of `@onnx-lora/speech`; case and punctuation count without one
 * @throws OnnxLoraError `DATA_INVALID` when there are not as many of both, or no reference has a word
 * @see Morris et al., "From WER and RIL to MER and WIL" (2004)
 */
export function wordErrors(
  references: readonly string[],
  hypotheses: readonly string[],
  normalise?: (text: string) => string,
): ErrorRates {
  if (references.length !== hypotheses.length) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `There are ${references.length} references and ${hypotheses.length} hypotheses. Give one hypothesis for each reference, "" where nothing was heard.`,
    );
  }
  const counter = new ErrorCounter(normalise);
  for (const [i, reference] of references.entries()) counter.add(reference, hypotheses[i]!);
  return counter.rates();
}

/** What Python calls white space, which is what separates words for jiwer. */
const spaces = new RegExp(String.raw`(?:[^\S\ufeff]|[\x1c-\x1f\x85])+`, 'u');

/** The words of a text, which white space separates. */
export function wordsOf(text: string): string[] {
  return text.split(spaces).filter((word) => word !== '');
}

/** Substitutions, deletions and insertions together. */
function editsOf({ substitutions, deletions, insertions }: EditCounts): number {
  return substitutions + deletions + insertions;
}

/** Pieces of the reference. */
function saidOf({ hits, substitutions, deletions }: EditCounts): number {
  return hits + substitutions + deletions;
}

const noEdits: EditCounts = { hits: 0, substitutions: 0, deletions: 0, insertions: 0 };

function plus(a: EditCounts, b: EditCounts): EditCounts {
  return {
    hits: a.hits + b.hits,
    substitutions: a.substitutions + b.substitutions,
    deletions: a.deletions + b.deletions,
    insertions: a.insertions + b.insertions,
  };
}
