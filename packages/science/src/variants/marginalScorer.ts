/** @file Masked and wild-type marginals: log-odds of residues at the positions of substitutions. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { SequenceTokenizer } from '@onnx-lora/sequences';
import type { Substitution } from '../data/sequenceRecord.ts';
import { type Question, sharedWindow, type Span, type TokenScores, windowAround } from './tokenScores.ts';
import { nameOfVariant, substitutionsOf, type Variant, type VariantScorer } from './effectScorer.ts';

/** @throws OnnxLoraError `DATA_INVALID` for the first letter that the vocabulary lacks */
export function letterIds(tokenizer: SequenceTokenizer, sequence: string, what: string): readonly number[] {
  const { ids } = tokenizer.tokens(sequence);
  if (ids.length === 0) throw new OnnxLoraError('DATA_INVALID', `There are no residues in ${what}. Leave it out.`);
  if (ids.length === sequence.length && !ids.includes(tokenizer.unknownId ?? NaN)) return ids;
  const at = [...sequence].findIndex((letter) => !isKnown(tokenizer, letter));
  throw new OnnxLoraError(
    'DATA_INVALID',
    `The model has no token for "${sequence[at] ?? ''}" at position ${at + 1} of ${what}. Write residues in capital letters; X stands for one that is not known.`,
  );
}

/** @throws OnnxLoraError `DATA_INVALID` for a residue that the vocabulary lacks, naming the substitution */
function substituteId(tokenizer: SequenceTokenizer, { from, position, to }: Substitution): number {
  if (isKnown(tokenizer, to)) return tokenizer.tokens(to).ids[0]!;
  throw new OnnxLoraError(
    'DATA_INVALID',
    `The model has no token for "${to}", which ${from}${position}${to} puts in. Write residues in capital letters, one for each position.`,
  );
}

function isKnown(tokenizer: SequenceTokenizer, letter: string): boolean {
  const { ids } = tokenizer.tokens(letter);
  return letter.length === 1 && ids.length === 1 && ids[0] !== tokenizer.unknownId;
}

/** Masked positions: each alone, all of a variant together, or none. */
export type Masking = 'each' | 'together' | 'none';

interface Context {
  readonly span: Span;
  readonly masked: readonly number[];
}

interface Asked extends Context {
  readonly positions: Set<number>;
}

/** Cache limit: 40 MB of answers. */
const MOST_KNOWN = 100_000;

/** A wild type and the model's answers about it, for scoring many variants. */
class WildType {
  readonly sequence: string;
  readonly #scores: TokenScores;
  readonly #masking: Masking;
  readonly #ids: readonly number[];
  readonly #substitutes = new Map<string, number>();
  /** Log-probabilities by context and position. */
  readonly #known = new Map<string, Float64Array>();

  /** @throws OnnxLoraError `DATA_INVALID` for an unknown letter */
  constructor(sequence: string, masking: Masking, scores: TokenScores) {
    this.sequence = sequence;
    this.#masking = masking;
    this.#scores = scores;
    this.#ids = letterIds(scores.tokenizer, sequence, 'the wild type');
  }

  /**
   * Asks the model for the probabilities that the scores need, unless known already.
   * @throws OnnxLoraError `DATA_INVALID` for jointly masked positions beyond one window, or an unknown residue
   */
  async ask(
    variants: Iterable<readonly Substitution[]>,
    onAnswer?: (done: number, total: number) => void,
  ): Promise<void> {
    if (this.#known.size > MOST_KNOWN) this.#known.clear();
    const wanted = new Map<string, Asked>();
    for (const substitutions of variants) {
      for (const each of substitutions) {
        if (!this.#substitutes.has(each.to)) this.#substitutes.set(each.to, substituteId(this.#scores.tokenizer, each));
        const context = this.#contextOf(each, substitutions);
        const key = keyOf(context);
        const position = each.position - 1;
        if (this.#known.has(`${key}@${position}`)) continue;
        if (!wanted.has(key)) wanted.set(key, { ...context, positions: new Set() });
        wanted.get(key)!.positions.add(position);
      }
    }
    const entries = [...wanted];
    let done = 0;
    for await (const answers of this.#scores.answers(this.#questions(entries.map(([, context]) => context)))) {
      const [key, { positions }] = entries[done++]!;
      for (const [i, position] of [...positions].entries()) this.#known.set(`${key}@${position}`, answers[i]!);
      onAnswer?.(done, entries.length);
    }
  }

  /** Σ log p(mutant) − log p(wild type) over the substitutions, after {@link WildType.ask}. */
  logOdds(substitutions: readonly Substitution[]): number {
    let sum = 0;
    for (const each of substitutions) {
      const position = each.position - 1;
      const logs = this.#known.get(`${keyOf(this.#contextOf(each, substitutions))}@${position}`)!;
      sum += logs[this.#substitutes.get(each.to)!]! - logs[this.#ids[position]!]!;
    }
    return sum;
  }

  *#questions(contexts: readonly Asked[]): Generator<Question> {
    for (const { span, masked, positions } of contexts)
      yield this.#scores.question(this.#ids, { span, masked, asked: [...positions] });
  }

  #contextOf({ position }: Substitution, all: readonly Substitution[]): Context {
    const { length } = this.sequence;
    const size = this.#scores.windowSize;
    if (this.#masking === 'none') return { span: sharedWindow(position - 1, length, size), masked: [] };
    if (this.#masking === 'each') return { span: windowAround(position - 1, length, size), masked: [position - 1] };
    const masked = [...new Set(all.map((each) => each.position - 1))].sort((a, b) => a - b);
    const [first, last] = [masked[0]!, masked.at(-1)!];
    if (last - first >= size) {
      throw new OnnxLoraError(
        'DATA_INVALID',
        `The positions ${first + 1} and ${last + 1} lie ${last - first} residues apart, and the model sees ${size} at once: they cannot be masked together. Score the variant with multiple: 'additive', which looks at each position by itself.`,
      );
    }
    return { span: windowAround(Math.ceil((first + last) / 2), length, size), masked };
  }
}

function keyOf({ span: [from], masked }: Context): string {
  return `${from}:${masked.join()}`;
}

/** Scores by masked marginals or wild-type marginals. */
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

/** The error about variants without a known wild type. */
export function noWildType(): OnnxLoraError {
  return new OnnxLoraError(
    'DATA_INVALID',
    'Variants are compared with their wild type, and it is not known. Give the sequence, or a FASTA file with it (wildType, on the command line --set wildType=…); or choose the method pseudo-perplexity, which judges sequences by themselves.',
  );
}
