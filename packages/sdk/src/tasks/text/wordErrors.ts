/** @file Error rates of texts that were heard or read, over a whole corpus as jiwer gives them. */

import { OnnxLoraError } from '../../errors.ts';
import { bootstrapDraws, type Draws, drawsFor } from '../../statistics/bootstrap.ts';
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

/** Counts the errors of transcripts as they come: the counts of each utterance are kept, and its texts are not. */
export class ErrorCounter {
  readonly #normalise: (text: string) => string;
  readonly #words: EditCounts[] = [];
  readonly #characters: EditCounts[] = [];
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
    this.#words.push(countEdits(words, wordsOf(heard)));
    this.#characters.push(countEdits([...said], [...heard]));
  }

  /**
   * The rates of all that came.
   *
   * @throws OnnxLoraError `DATA_INVALID` when no reference has a word
   */
  rates(): ErrorRates {
    const utterances = this.#words.length;
    if (utterances === 0) {
      throw new OnnxLoraError(
        'DATA_INVALID',
        `There is no error rate: ${this.#skipped === 0 ? 'no transcript was given' : `none of ${this.#skipped} transcripts has a word`}. Check which column of the data holds the transcripts.`,
      );
    }
    const [words, characters] = [this.#words.reduce(plus), this.#characters.reduce(plus)];
    const { hits, deletions, insertions } = words;
    const [edits, said] = [editsOf(words), saidOf(words)];
    const heard = said - deletions + insertions;
    return {
      wer: edits / said,
      mer: edits / (hits + edits),
      wil: 1 - (heard === 0 ? 0 : (hits / said) * (hits / heard)),
      cer: editsOf(characters) / saidOf(characters),
      words,
      characters,
      utterances,
      skipped: this.#skipped,
    };
  }

  /**
   * `wer` and `cer` on sets of utterances that are drawn with replacement: of each set all edits over all words or characters.
   *
   * @see Bisani, Ney: Bootstrap Estimates for Confidence Intervals in ASR Performance Evaluation, 2004
   */
  draws(): Draws {
    const [wer, cer] = [rateOf(this.#words), rateOf(this.#characters)];
    const measure = (times: Uint32Array): Record<'wer' | 'cer', number> => ({
      wer: weighted(wer.edits, times) / weighted(wer.said, times),
      cer: weighted(cer.edits, times) / weighted(cer.said, times),
    });
    const { length } = this.#words;
    return bootstrapDraws(measure, length, { samples: drawsFor(length) });
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

/** The numerators and denominators of a rate, by utterances. */
function rateOf(counts: readonly EditCounts[]): Readonly<Record<'edits' | 'said', readonly number[]>> {
  return { edits: counts.map(editsOf), said: counts.map(saidOf) };
}

/** The sum where number i counts `times[i]` times. */
function weighted(numbers: readonly number[], times: Uint32Array): number {
  return numbers.reduce((sum, each, i) => sum + times[i]! * each, 0);
}

function plus(a: EditCounts, b: EditCounts): EditCounts {
  return {
    hits: a.hits + b.hits,
    substitutions: a.substitutions + b.substitutions,
    deletions: a.deletions + b.deletions,
    insertions: a.insertions + b.insertions,
  };
}
