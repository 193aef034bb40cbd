/** @file Checks prompts: texts or ids, one or a batch, each with its own options. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { isId, type SequenceTokenizer } from '@onnx-lora/sequences';
import {
  type GenerateOptions,
  generateSettings,
  type GenerationDefaults,
  type GenerationPlan,
  type RowOptions,
} from './generateOptions.ts';

/** A text, or token ids with all special tokens. */
export type Prompt = string | readonly number[];

/** A prompt of a batch, with options that override the batch's. */
export interface RowPrompt extends RowOptions {
  /** The text to continue. */
  readonly prompt: Prompt;
}

/** One prompt, or a batch. */
export type Prompts = Prompt | readonly (Prompt | RowPrompt)[];

/** A checked prompt with its resolved options. */
export interface WantedText {
  readonly row: number;
  readonly ids: readonly number[];
  readonly own: RowOptions;
  readonly maxTokens: number;
  readonly stops: readonly string[];
  readonly seed: number;
}

/** The default of `maxNewTokens`. */
const USUAL_LENGTH = 256;

/** The generator's settings that prompts are checked against. */
export interface PromptContext {
  readonly tokenizer: SequenceTokenizer;
  readonly defaults: GenerationDefaults;
  readonly options: GenerateOptions;
  readonly plan: GenerationPlan;
}

/** Whether these are a list of prompts instead of a single one. */
export function isBatch(prompts: Prompts): prompts is readonly (Prompt | RowPrompt)[] {
  return typeof prompts !== 'string' && typeof prompts[0] !== 'number';
}

/**
 * Checks prompts, in their order.
 * @throws OnnxLoraError `INPUT_INVALID` for a prompt without tokens, with invalid ids, or too long; stop strings with
 * beams; `CONFIG_INVALID` for an invalid option
 */
export function checkedPrompts(prompts: Prompts, context: PromptContext): WantedText[] {
  const all = isBatch(prompts) ? prompts : [prompts];
  const isOne = all.length === 1;
  return all.map((given, row) => {
    const own: RowPrompt = typeof given === 'object' && 'prompt' in given ? given : { prompt: given };
    return wanted(own, row, isOne ? 'The prompt' : `Prompt ${row}`, context);
  });
}

function wanted({ prompt, ...own }: RowPrompt, row: number, what: string, context: PromptContext): WantedText {
  const { options, plan, defaults } = context;
  generateSettings.checkOptions(own);
  const ids = idsOf(prompt, what, context);
  const room = defaults.positions - ids.length;
  if (room < 1) {
    throw new OnnxLoraError(
      'INPUT_INVALID',
      `${what} has ${ids.length} tokens, and the model reads ${defaults.positions} in all, so none is left for the text. Shorten it.`,
    );
  }
  const stops = own.stopStrings ?? options.stopStrings ?? [];
  if (stops.length > 0 && plan.search.beams > 1)
    throw new OnnxLoraError('INPUT_INVALID', 'Stop strings are looked for in one text at a time. Set numBeams to 1.');
  const seed = own.seed ?? (plan.seed === undefined ? Math.floor(Math.random() * 2 ** 32) : plan.seed + row);
  const asked = own.maxNewTokens ?? options.maxNewTokens ?? defaults.maxNewTokens;
  const maxTokens = asked ?? (defaults.maxLength === undefined ? USUAL_LENGTH : defaults.maxLength - ids.length);
  return { row, ids, own, maxTokens: Math.max(1, Math.min(maxTokens, room)), stops, seed };
}

function idsOf(prompt: Prompt, what: string, { tokenizer, defaults, options }: PromptContext): readonly number[] {
  const text = typeof prompt === 'string' ? tokenizer.tokens(prompt).ids : prompt;
  const framed = typeof prompt === 'string' && options.addSpecialTokens !== false ? tokenizer.framed(text).ids : text;
  const ids = framed.length === 0 && defaults.begin !== undefined ? [defaults.begin] : framed;
  if (ids.length > 0 && ids.every((id) => isId(id) && tokenizer.tokenOf(id) !== undefined)) return ids;
  throw new OnnxLoraError(
    'INPUT_INVALID',
    ids.length === 0
      ? `${what} is empty, and the model has no token that begins a text. Give at least one letter.`
      : `${what} holds ${String(ids.find((id) => !isId(id) || tokenizer.tokenOf(id) === undefined))}, which is the id of no token. Give ids below ${tokenizer.size}, or the text.`,
  );
}
