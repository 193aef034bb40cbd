/** @file Error rates of transcripts over a corpus, as in jiwer. */

import { OnnxLoraError } from '../../errors.ts';
import { bootstrapDraws, type Draws, drawsFor } from '../../statistics/bootstrap.ts';
import { countEdits, type EditCounts } from './edits.ts';

/** Error rates as fractions: 0.25 is 25 %. Each is over all utterances together, not a mean of theirs. */
export interface ErrorRates {
  /** Word error rate: edits / words of the references. Above 1 with many insertions. */
  readonly wer: number;
  /** Match error rate: edits / positions of the alignment, at most 1. */
  readonly mer: number;
  /** Word information lost, at most 1. */
  readonly wil: number;
  /** Character error rate: edits / characters of the references, spaces included. */
  readonly cer: number;
  /** Word edits, the source of `wer`, `mer` and `wil`. */
  readonly words: EditCounts;
  /** Character edits, the source of `cer`. */
  readonly characters: EditCounts;
  /** Number of utterances counted. */
  readonly utterances: number;
  /** Number of utterances skipped because their reference has no word, such as silence. */
  readonly skipped: number;
}

/** Accumulates errors of transcripts. Keeps the counts of each utterance, not its texts. */
export class ErrorCounter {
  readonly #normalise: (text: string) => string;
  readonly #words: EditCounts[] = [];
  readonly #characters: EditCounts[] = [];
  #skipped = 0;

  /** `normalise` makes equivalent texts equal; without it, case and punctuation count. */
  constructor(normalise: (text: string) => string = (text) => text) {
    this.#normalise = normalise;
  }

  /** Adds a reference and its transcript. References without a word are only counted as skipped. */
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

  /** The rates of all utterances so far. @throws OnnxLoraError `DATA_INVALID` if no reference has a word */
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

  /** `wer` and `cer` of resampled utterances. See Bisani, Ney: Bootstrap Estimates for Confidence Intervals, 2004. */
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
 * Error rates of transcripts: WER, MER, WIL and CER with their counts, as in jiwer. See Morris et al., "From WER and
 * RIL to MER and WIL" (2004).
 * @param hypotheses transcripts in the order of the references
 * @param normalise makes equivalent texts equal, such as `englishNormaliser` of `@onnx-lora/speech`; without it, case
 *   and punctuation count
 * @throws OnnxLoraError `DATA_INVALID` if the numbers differ, or no reference has a word
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

/** Python's white space, which separates words in jiwer. */
const spaces = new RegExp(String.raw`(?:[^\S\ufeff]|[\x1c-\x1f\x85])+`, 'u');

/** The words of a text, separated by white space. */
export function wordsOf(text: string): string[] {
  return text.split(spaces).filter((word) => word !== '');
}

function editsOf({ substitutions, deletions, insertions }: EditCounts): number {
  return substitutions + deletions + insertions;
}

function saidOf({ hits, substitutions, deletions }: EditCounts): number {
  return hits + substitutions + deletions;
}

function rateOf(counts: readonly EditCounts[]): Readonly<Record<'edits' | 'said', readonly number[]>> {
  return { edits: counts.map(editsOf), said: counts.map(saidOf) };
}

/** Sum with number i counted `times[i]` times. */
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
