/** @file Attention over the letters of a sequence, as numbers and as a report section. */

import { type Adapter, Model, OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import type { ReportLetters, ReportRequest, ReportSection, RunnableModel, RunnableOptions } from '@onnx-lora/sdk/tasks';
import { openSequenceInput, type SequenceTokenizer, type TokenRow } from '@onnx-lora/sequences';
import { sequenceNames } from '../../names.ts';
import { perLetter } from '../residues/residueTargets.ts';

/** Options of {@link attentionOver}. */
export interface AttentionOptions extends Omit<RunnableOptions, 'adapters'> {
  /** The base alone by default. */
  readonly adapter?: Adapter | undefined;
  /** By default from the model's folder. */
  readonly tokenizer?: SequenceTokenizer | undefined;
  /** Maximum tokens; longer sequences are cropped. */
  readonly maxLength?: number | undefined;
  /** Layer number, from 0; the last by default. */
  readonly layer?: number | undefined;
}

/** Attention over a sequence. */
export interface LetterAttention {
  /** Share of attention, averaged over heads and queries; undefined if cropped. Sums to 1 with {@link special}. */
  readonly shares: readonly (number | undefined)[];
  /** The share of special tokens, such as `<cls>` and `<eos>`. */
  readonly special: number;
}

/**
 * Attention to each letter of a sequence in one layer: what the layer reads, which need not explain its answer.
 * @example
 * ```ts
 * const { shares } = await attentionOver(model, 'MKTAYIAKQR', { adapter });
 * ```
 * @see Vig et al., "BERTology Meets Biology: Interpreting Attention in Protein Language Models" (2020),
 * arXiv:2006.15222; Jain, Wallace, "Attention is not Explanation" (2019), arXiv:1902.10186
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for a graph with fused attention; `CONFIG_INVALID` for an unknown layer
 */
export async function attentionOver(
  model: RunnableModel,
  sequence: string,
  options: AttentionOptions = {},
): Promise<LetterAttention> {
  const reader = await openAttention(model, options);
  try {
    return await reader.over(sequence);
  } finally {
    await reader.release();
  }
}

/** Graph values with attention weights, by layer; empty where the graph hides them. */
export function attentionValues(model: RunnableModel): readonly string[] {
  if (!(model instanceof Model)) return [];
  const keys = (model.family?.roles['attention.key'] ?? []).map(({ source }) => new RegExp(`^(?:${source})$`));
  const found = model
    .sites()
    .filter(({ path }) => keys.some((pattern) => pattern.test(path)))
    .map(({ path }) => model.attentionBehind(path));
  return found.every((value) => value !== undefined) ? found : [];
}

export interface AttentionReader {
  over(sequence: string): Promise<LetterAttention>;
  release(): Promise<void>;
}

async function openAttention(
  model: RunnableModel,
  { adapter, tokenizer, maxLength, layer, ...load }: AttentionOptions = {},
): Promise<AttentionReader> {
  const values = attentionValues(model);
  const value = values.at(layer ?? -1);
  if (value === undefined || (layer !== undefined && !(Number.isInteger(layer) && layer >= 0))) {
    throw values.length === 0
      ? new OnnxLoraError(
          'MODEL_UNSUPPORTED',
          `"${model.name}" does not show its attention: it is of no known family, or its graph computes attention as one operator. Export it with attention written out (attn_implementation="eager").`,
        )
      : new OnnxLoraError(
          'CONFIG_INVALID',
          `"${model.name}" has the layers 0 to ${values.length - 1}, and layer ${layer} is none of them.`,
        );
  }
  const input = await openSequenceInput(model, { tokenizer, maxLength }, sequenceNames);
  const named = adapter ? { adapter } : {};
  const session = await model.withOutputs([value]).session({ ...load, adapters: named });
  return {
    over: async (sequence) => {
      const [row] = input.rows({ id: sequence.slice(0, 20), where: 'the sequence', sequence });
      const run = { adapter: adapter ? 'adapter' : null, fetches: [value] };
      const outputs = await session.run(input.feeds([row!]), run);
      return sharesOf(outputs[value]!, row!, (answerOf) => perLetter(sequence, input.tokenizer, answerOf));
    },
    release: () => session.release(),
  };
}

/** Means over heads and queries of weights `[…, tokens, tokens]`. */
function sharesOf(
  { dims, data }: Tensor,
  { ids, at, count }: TokenRow,
  lettersOf: (shareOf: (token: number) => number | undefined) => LetterAttention['shares'],
): LetterAttention {
  // Fixed-length graphs have padding behind the tokens, which gets no attention.
  const length = dims.at(-1)!;
  const heads = data.length / (length * length);
  const shares = new Float64Array(length);
  for (let head = 0; head < heads; head++) {
    for (let query = 0; query < ids.length; query++) {
      const from = (head * length + query) * length;
      for (let key = 0; key < length; key++) shares[key]! += Number(data[from + key]) / (heads * ids.length);
    }
  }
  const own = shares.subarray(at, at + count).reduce((sum, share) => sum + share, 0);
  return { shares: lettersOf((token) => (token < count ? shares[at + token] : undefined)), special: 1 - own };
}

export interface AttendedSequence {
  readonly title: string;
  readonly sequence: string;
}

/** Sequences coloured by attention in the last layer, with the adapter; none where the graph hides it. */
export async function attentionSections(
  sequences: readonly AttendedSequence[],
  { model, adapter, options }: ReportRequest,
  { tokenizer, maxLength }: { readonly tokenizer: SequenceTokenizer; readonly maxLength?: number | undefined },
): Promise<readonly ReportSection[]> {
  if (sequences.length === 0 || attentionValues(model).length === 0) return [];
  const reader = await openAttention(model, { ...options, adapter, tokenizer, maxLength });
  try {
    const rows: ReportLetters[] = [];
    for (const { title, sequence } of sequences) {
      const { shares, special } = await reader.over(sequence);
      const known = shares.filter((share) => share !== undefined);
      const [least, most] = [Math.min(...known), Math.max(...known)];
      const colour = (share: number): number => (most > least ? (share - least) / (most - least) : 0);
      const own = `${title}; ${(100 * special).toFixed(0)}% of the attention is on special tokens`;
      rows.push({
        title: own,
        text: sequence,
        values: shares.map((share) => (share === undefined ? 0 : colour(share))),
      });
    }
    return [
      {
        kind: 'letters',
        title: 'Attention',
        text: 'Where the last layer looks, with the adapter: the mean over its heads and over the tokens that attend, from the letter with the least (no colour) to that with the most. It says what is read, which need not be why the answer is what it is.',
        rows,
      },
    ];
  } finally {
    await reader.release();
  }
}
