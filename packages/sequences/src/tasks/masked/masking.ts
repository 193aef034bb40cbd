/** @file Chooses masked tokens, their replacements and their targets. */

import { type Feeds, int64, OnnxLoraError } from '@onnx-lora/sdk';
import { drawSeed, type Random } from '@onnx-lora/sdk/data';
import { type SettingRows, settingsOf, type SettingTable } from '@onnx-lora/sdk/plugin';
import type { SequenceTokenizer } from '../../tokenizers/sequenceTokenizer.ts';

/** Seed from the sequence (FNV-1a, RFC 9923) and the window's first token `from`, not from its place in the data. */
export function fixedSeed(seed: number, sequence: string, from = 0): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < sequence.length; i++) hash = Math.imul(hash ^ sequence.charCodeAt(i), 0x01000193);
  return drawSeed(seed ^ hash, from);
}

/** Options of masking. */
export interface MaskingOptions {
  /** Share of tokens to predict; 0.15 by default. */
  readonly rate?: number | undefined;
  /** Share of these that becomes the mask token; 0.8 by default. */
  readonly masked?: number | undefined;
  /** Share of these that becomes a random token of the vocabulary; 0.1 by default. The others stay. */
  readonly random?: number | undefined;
  /** Mean length of masked spans (geometric, at most twice the mean; SpanBERT: 5); by default single tokens. */
  readonly spanLength?: number | undefined;
}

/** Masking options as command-line settings. */
export const maskingSettings: SettingRows<MaskingOptions> = {
  rate: { kind: 'number', above: 0, below: 1, description: 'Share of tokens to predict; 0.15 by default.' },
  masked: { kind: 'number', min: 0, max: 1, description: 'Share of these that is masked; 0.8 by default.' },
  random: {
    kind: 'number',
    min: 0,
    max: 1,
    description: 'Share of these that becomes a random token; 0.1 by default.',
  },
  spanLength: {
    kind: 'number',
    min: 1,
    max: 100,
    description: 'Masks spans of about this length, such as 5, not single tokens.',
  },
};

const table: SettingTable<MaskingOptions> = settingsOf(maskingSettings);

/** Vocabulary properties that masking needs. */
export type MaskedVocabulary = Pick<SequenceTokenizer, 'size' | 'maskId' | 'specialIds' | 'unknownId'>;

interface MaskedRow {
  readonly ids: readonly number[];
  readonly labels: readonly number[];
}

/** Label of tokens that are not predicted: torch's `ignore_index`. */
export const IGNORED_LABEL = -100;

/**
 * Masks tokens as in BERT: each is selected with the probability `rate`; by default 80% of these become the mask token,
 * 10% a uniformly random token, and 10% stay. Special and unknown tokens are never selected; every row with others gets
 * at least one. Spans select `rate` of the tokens, and all tokens of a span are replaced alike, as in SpanBERT.
 * @see Devlin et al., "BERT" (2018), arXiv:1810.04805, A.1; transformers, `DataCollatorForLanguageModeling`; Joshi et
 * al., "SpanBERT" (2019), arXiv:1907.10529, 3.1
 */
export class Masking {
  readonly #vocabulary: MaskedVocabulary;
  readonly #maskId: number;
  readonly #rate: number;
  readonly #masked: number;
  readonly #random: number;
  readonly #spanLength: number | undefined;

  /** @throws OnnxLoraError `CONFIG_INVALID` for invalid shares; `MODEL_UNSUPPORTED` without a mask token */
  constructor(vocabulary: MaskedVocabulary, options: MaskingOptions = {}) {
    const { rate = 0.15, masked = 0.8, random = 0.1, spanLength } = options;
    table.check({ rate, masked, random, ...(spanLength !== undefined && { spanLength }) }, source);
    if (random > 1 - masked + 1e-9) {
      throw new OnnxLoraError(
        'CONFIG_INVALID',
        `${source.where('random')} must be a share that with masked, ${masked}, is at most 1, but it is ${random}. ${source.remedy()}`,
      );
    }
    const { maskId } = vocabulary;
    if (maskId === undefined) {
      throw new OnnxLoraError(
        'MODEL_UNSUPPORTED',
        'The model has no mask token, so it cannot learn to guess masked ones. Take a model that was pre-trained by masking, such as ESM-2, ProtBERT, ChemBERTa or DNABERT.',
      );
    }
    this.#vocabulary = vocabulary;
    this.#maskId = maskId;
    this.#rate = rate;
    this.#masked = masked;
    this.#random = random;
    this.#spanLength = spanLength;
  }

  canBeAsked(id: number): boolean {
    return !this.#vocabulary.specialIds.has(id) && id !== this.#vocabulary.unknownId;
  }

  /** Masks some tokens of a row; none if all are special or unknown. */
  mask(row: readonly number[], random: Random): MaskedRow {
    const candidates = [...row.keys()].filter((at) => this.canBeAsked(row[at]!));
    const spans = this.#spanLength === undefined ? this.#single(candidates, random) : this.#spans(candidates, random);
    const ids = [...row];
    const labels = row.map(() => IGNORED_LABEL);
    for (const span of spans) {
      const kind = random.next();
      for (const at of span) {
        labels[at] = row[at]!;
        if (kind < this.#masked) ids[at] = this.#maskId;
        else if (kind < this.#masked + this.#random) ids[at] = random.index(this.#vocabulary.size);
      }
    }
    return { ids, labels };
  }

  #single(candidates: readonly number[], random: Random): (readonly number[])[] {
    const chosen = candidates.filter(() => random.next() < this.#rate);
    // The mean over no token is NaN.
    if (chosen.length === 0 && candidates.length > 0) chosen.push(candidates[random.index(candidates.length)]!);
    return chosen.map((at) => [at]);
  }

  #spans(candidates: readonly number[], random: Random): (readonly number[])[] {
    if (candidates.length === 0) return [];
    const free = new Set(candidates);
    let left = Math.max(1, Math.round(this.#rate * candidates.length));
    const spans: number[][] = [];
    while (left > 0) {
      const first = candidates[random.index(candidates.length)]!;
      if (!free.has(first)) continue;
      const span: number[] = [];
      const length = Math.min(this.#length(random), left);
      for (let at = first; span.length < length && free.delete(at); at++) span.push(at);
      left -= span.length;
      spans.push(span);
    }
    return spans;
  }

  /** Geometric with p = 1 / mean, redrawn above twice the mean: SpanBERT's for a mean of 5. */
  #length(random: Random): number {
    const mean = this.#spanLength!;
    for (;;) {
      // For p = 1 the logarithm is −∞ and the length 1.
      const length = 1 + Math.floor(Math.log(1 - random.next()) / Math.log(1 - 1 / mean));
      if (length <= 2 * mean) return length;
    }
  }
}

const source = {
  where: (name: string) => `The setting ${name} of masking`,
  remedy: () => 'Usual values are rate 0.15, masked 0.8 and random 0.1.',
};

/** Batch targets: `labels` int64 `[batch, tokens]`, −100 for tokens that stay; `records` int64 `[batch]`, indices. */
export function maskedTargets(rows: readonly MaskedRow[], records: readonly number[], length: number): Feeds {
  const labels = rows.flatMap((row) => Array.from({ length }, (_, at) => row.labels[at] ?? IGNORED_LABEL));
  return { labels: int64(labels, [rows.length, length]), records: int64([...records], [rows.length]) };
}

interface Asked {
  readonly row: number;
  readonly at: number;
  readonly record: number;
  readonly token: number;
}

/** Iterates over the tokens of a batch to predict. */
export function* maskedTokens({ labels, records }: Feeds): Generator<Asked> {
  const [rows, length] = labels!.dims as readonly [number, number];
  for (let row = 0; row < rows; row++) {
    const record = Number(records!.data[row]);
    for (let at = 0; at < length; at++) {
      const token = Number(labels!.data[row * length + at]);
      if (token !== IGNORED_LABEL) yield { row, at, record, token };
    }
  }
}

/** Number of tokens of a batch to predict. */
export function countMaskedTokens({ labels }: Feeds): number {
  let count = 0;
  for (const label of labels!.data) if (Number(label) !== IGNORED_LABEL) count++;
  return count;
}
