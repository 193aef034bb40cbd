/** @file Log-probabilities of tokens by a masked language model. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { type RunnableModel, describedPort } from '@onnx-lora/sdk/tasks';
import {
  type ItemModelOptions,
  notNumbers,
  openItemModel,
  openSequenceInput,
  type ItemModel,
  type SequenceInput,
  type SequenceTokenizer,
  type TokenRow,
} from '@onnx-lora/sequences';
import { sequenceDomain } from '../domain.ts';

/** Half-open range of positions. */
export type Span = readonly [from: number, to: number];

/**
 * The window of `size` around `position`, moved inwards at the ends of the sequence, counted in residues without
 * special tokens: the "optimal window" of ProteinGym (Notin et al. 2023, `get_optimal_window`).
 */
export function windowAround(position: number, length: number, size: number): Span {
  const from = Math.max(0, Math.min(position - Math.floor(size / 2), length - size));
  return [from, Math.min(length, from + size)];
}

/**
 * The half-overlapping window with `position` nearest to its middle, so that many positions share one: all but those
 * near the ends of the sequence have at least a quarter of the window on each side.
 */
export function sharedWindow(position: number, length: number, size: number): Span {
  if (length <= size) return [0, length];
  const step = Math.max(1, Math.floor(size / 2));
  const nearest = Math.max(0, Math.round((position - size / 2) / step)) * step;
  const from = Math.min(nearest, length - size);
  return [from, from + size];
}

/** A model input and its queried positions. */
export interface Question {
  readonly row: TokenRow;
  /** Positions in the row's ids. */
  readonly places: readonly number[];
}

/** Span, mask and positions, counted from 0. */
interface Asking {
  readonly span: Span;
  readonly masked: readonly number[];
  readonly asked: readonly number[];
}

/** Options of token scores. */
export interface TokenScoresOptions extends ItemModelOptions {
  /** By default from the model's folder. */
  readonly tokenizer?: SequenceTokenizer | undefined;
  /** Maximum tokens of an input, special ones included; by default from the model's files. */
  readonly maxLength?: number | undefined;
}

export const SCORES = 'logits';

/** A masked language model that answers {@link Question}s. */
export class TokenScores {
  readonly tokenizer: SequenceTokenizer;
  /** Most tokens per window, without special ones. */
  readonly windowSize: number;
  readonly #asker: ItemModel<Question, readonly Float64Array[]>;

  private constructor({ tokenizer, rules }: SequenceInput, asker: ItemModel<Question, readonly Float64Array[]>) {
    this.tokenizer = tokenizer;
    this.windowSize = rules.most - tokenizer.added.single;
    this.#asker = asker;
  }

  /**
   * Loads a masked language model.
   * @throws OnnxLoraError `MODEL_UNSUPPORTED` without token scores or a mask token, or with tokens of several letters;
   * `CONFIG_INVALID`; others as `model.session`
   */
  static async open(model: RunnableModel, options: TokenScoresOptions = {}): Promise<TokenScores> {
    requireTokenScores(model);
    const { tokenizer, maxLength, ...load } = options;
    const input = await openSequenceInput(model, { tokenizer, maxLength }, sequenceDomain);
    requireResidues(model, input.tokenizer);
    const asker = await openItemModel<Question, readonly Float64Array[]>(
      model,
      {
        input,
        outputs: [SCORES],
        row: ({ row }) => row,
        found: ({ [SCORES]: scores }, { places }) => {
          const { dims, data } = scores!;
          if (dims.length !== 3) throw notTokens(model.name, dims);
          return places.map((place) => {
            const logs = logSoftmax(data as Float32Array, place * dims[2]!, dims[2]!);
            // NaN scores would vanish where ranks are compared.
            if (logs.some(Number.isNaN)) throw notNumbers(model.name, load.adapter !== undefined);
            return logs;
          });
        },
      },
      load,
    );
    return new TokenScores(input, asker);
  }

  /** A window of a sequence with special tokens and masks. */
  question(ids: readonly number[], { span: [from, to], masked, asked }: Asking): Question {
    const own = ids.slice(from, to);
    for (const each of masked) own[each - from] = this.tokenizer.maskId!;
    const { ids: framed, types, firstAt } = this.tokenizer.framed(own);
    return {
      row: { ids: framed, types, at: firstAt, count: own.length, from },
      places: asked.map((each) => firstAt + each - from),
    };
  }

  /**
   * Log-probabilities of all tokens, `[vocabulary]` for each position of each question, in order.
   * @throws OnnxLoraError `ADAPTER_MISMATCH` for an adapter whose head has no token scores
   */
  answers(questions: Iterable<Question>): AsyncGenerator<readonly Float64Array[]> {
    return this.#asker.ask(questions);
  }

  release(): Promise<void> {
    return this.#asker.release();
  }
}

/** Log softmax of `width` numbers from `at` on, in float64. */
function logSoftmax(data: ArrayLike<number>, at: number, width: number): Float64Array {
  let max = -Infinity;
  for (let i = 0; i < width; i++) max = Math.max(max, data[at + i]!);
  let sum = 0;
  for (let i = 0; i < width; i++) sum += Math.exp(data[at + i]! - max);
  const logSum = max + Math.log(sum);
  return Float64Array.from({ length: width }, (_, i) => data[at + i]! - logSum);
}

function requireTokenScores(model: RunnableModel): void {
  const port = model.outputs[SCORES];
  const isPerToken = port !== undefined && (port.dims === undefined || port.dims.length === 3);
  if (isPerToken) return;
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `"${model.name}" gives no scores of tokens: that is the output "${SCORES}" [batch, tokens, vocabulary], but ${port ? `it is ${describedPort(port)}` : `its outputs are ${Object.keys(model.outputs).join(', ')}`}. Use a masked language model, exported with optimum-cli export onnx --task fill-mask.`,
  );
}

function requireResidues({ name }: RunnableModel, { maskId, isPerLetter }: SequenceTokenizer): void {
  if (maskId !== undefined && isPerLetter) return;
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    maskId === undefined
      ? `The tokenizer of "${name}" has no mask token: the model was not trained to fill in residues. Use a masked language model, such as ESM-2.`
      : `Tokens of "${name}" stand for several letters each, so that it says nothing about single residues. Use a model with a token per residue, such as ESM-2.`,
  );
}

function notTokens(name: string, dims: readonly number[]): OnnxLoraError {
  return new OnnxLoraError(
    'ADAPTER_MISMATCH',
    `With this adapter "${name}" gives "${SCORES}" [${['batch', ...dims.slice(1)].join(', ')}], not scores of tokens [batch, tokens, vocabulary]: it was trained for another task. Use the base, or an adapter of the task masked-language-modelling.`,
  );
}
