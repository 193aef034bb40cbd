/** @file Answers the prompts and conversations of files, as a stream. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import {
  type Answer,
  chosenAdapter,
  type Predictor,
  requireNamedAdapters,
  type RunnableModel,
  sourcesOf,
} from '@onnx-lora/sdk/tasks';
import type { PredictorInput, PredictorOptions } from '@onnx-lora/sdk/plugin';
import { openSequenceInput, requireShort, type SequenceTokenizer } from '@onnx-lora/sequences';
import { openChatTemplate } from '../../chat/chatTemplate.ts';
import type { ConversationColumns } from '../../data/readConversations.ts';
import { textEndings } from '../../data/streamTexts.ts';
import { type StreamedPrompt, streamPrompts } from '../../data/streamPrompts.ts';
import type { RowPrompt } from '../../generation/checkedPrompts.ts';
import type { GenerateOptions } from '../../generation/generateOptions.ts';
import { openGenerator } from '../../generation/openGenerator.ts';
import type { GeneratedText } from '../../generation/textGenerator.ts';
import { promptWithReference } from './promptWithReference.ts';
import { languageModel } from './openSftData.ts';

/** Options of {@link openAnswerer}. */
export interface AnswererOptions extends Omit<PredictorOptions, 'settings'> {
  /** Generation options; by default those of the model's `generation_config.json`. */
  readonly generate?: Omit<GenerateOptions, 'adapter' | 'signal' | 'addSpecialTokens'> | undefined;
  /** Column names that differ from the usual ones. */
  readonly columns?: ConversationColumns | undefined;
  /** The tokenizer; that of the model's folder by default. */
  readonly tokenizer?: SequenceTokenizer | undefined;
}

/** The input of predictors that answer. */
export const answererInput: PredictorInput = { endings: textEndings, streams: true, records: true };

/** The name of {@link PredictorOptions.adapter} in the generator. */
const ADAPTER = 'adapter';
/** Upper bound of the mean characters per token, and a length that is tokenized anyway, for exact errors. */
const [LETTERS_OF_TOKEN, SHORT] = [64, 2 ** 14];
/** Texts per batch. */
const TOGETHER = 8;

interface Waiting extends Pick<Answer, 'source' | 'read' | 'total'> {
  readonly id: string;
  readonly prompt: readonly number[];
  readonly adapter: string | null;
  /** Seed of sampling; counts up by prompt. */
  readonly seed?: number;
}

/**
 * Loads a language model that answers `{ id, text, finish }` to conversations, prompts, texts to continue, or lines,
 * which are questions if the model has a chat template. A conversation's last answer is replaced. With `parts` texts
 * are generated one by one, and their pieces streamed.
 * @example
 * ```ts
 * await using answerer = await openAnswerer(model, { adapter, generate: { maxNewTokens: 40 } });
 * for await (const { prediction } of answerer.predict(['questions.jsonl'])) console.log(prediction['text']);
 * ```
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for a model that is no language model; as `openGenerator`
 */
export async function openAnswerer(
  model: RunnableModel,
  { adapter, adapters = {}, load, generate = {}, columns, tokenizer: given }: AnswererOptions = {},
): Promise<Predictor> {
  requireNamedAdapters(adapters);
  const { tokenizer, rules } = await openSequenceInput(model, { tokenizer: given }, languageModel);
  const template = await openChatTemplate(model.folder ?? '');
  const generator = await openGenerator(model, { ...load, adapters, ...(adapter && { adapter }), tokenizer });
  const names = [...(adapter ? [ADAPTER] : []), ...Object.keys(adapters)];

  const waitingFor = (source: number, chosen: string | null, { id, record, ...read }: StreamedPrompt): Waiting => {
    const said = 'messages' in record ? JSON.stringify(record.messages) : record.prompt;
    requireShort(said.length, record.where, tokenizer.isPerLetter, Math.max(SHORT, LETTERS_OF_TOKEN * rules.most));
    const prompt = promptWithReference(record, { tokenizer, template })?.ids;
    if (prompt && prompt.length < rules.most) return { source, id, prompt, adapter: chosen, ...read };
    throw new OnnxLoraError(
      'DATA_INVALID',
      prompt
        ? `${record.where}: the prompt has ${prompt.length} tokens, and the model reads ${rules.most} with the answer. Shorten it.`
        : `${record.where}: nothing is asked. End it with what a user says.`,
    );
  };

  async function* written(batch: readonly Waiting[], signal: AbortSignal | undefined): AsyncGenerator<Answer> {
    if (batch.length === 0 || signal?.aborted) return;
    const rows = batch.map(rowOf);
    const texts = await generator.complete(rows, { ...generate, ...(signal && { signal }) });
    for (const [i, asked] of batch.entries()) yield answerOf(asked, texts[i]!);
  }

  /** Streams the pieces of a single answer. */
  async function* told(asked: Waiting, signal: AbortSignal | undefined): AsyncGenerator<Answer> {
    const { id, prompt: _, adapter: __, seed: ___, ...place } = asked;
    const writing = generator.generate([rowOf(asked)], { ...generate, ...(signal && { signal }) });
    try {
      for (;;) {
        const { done, value } = await writing.next();
        if (!done) {
          if (value.text !== '') yield { ...place, prediction: { id, text: value.text }, isPart: true };
          continue;
        }
        yield answerOf(asked, value[0]!);
        return;
      }
    } finally {
      await writing.return([]);
    }
  }

  async function* predict(...[sources, options = {}]: Parameters<Predictor['predict']>): AsyncGenerator<Answer> {
    const { batchSize = TOGETHER, parts = false, skip = 0, onBadSource, signal } = options;
    const choice = { adapter: adapter ? ADAPTER : null, ...options }.adapter;
    let [number, left, asked] = [-1, skip, 0];
    let batch: Waiting[] = [];
    for await (const source of sourcesOf(sources)) {
      number++;
      const chosen = chosenAdapter(choice, source, names);
      try {
        for await (const prompt of streamPrompts(source, { columns, asks: template !== undefined })) {
          const seed = generate.seed === undefined ? {} : { seed: generate.seed + asked++ };
          if (left-- > 0) continue;
          batch.push({ ...waitingFor(number, chosen, prompt), ...seed });
          if (parts) yield* told(batch.pop()!, signal);
          if (batch.length < batchSize) continue;
          yield* written(batch, signal);
          if (signal?.aborted) return;
          batch = [];
        }
      } catch (error) {
        if (!onBadSource) throw error;
        onBadSource(number, error);
      }
    }
    yield* written(batch, signal);
  }

  const release = (): Promise<void> => generator.release();
  return { adapters: names, predict, release, [Symbol.asyncDispose]: release };
}

function rowOf({ prompt, adapter, seed }: Waiting): RowPrompt {
  return { prompt, adapter, ...(seed !== undefined && { seed }) };
}

function answerOf(asked: Waiting, { text, tokens, finish }: GeneratedText): Answer {
  const { id, prompt, adapter: _, seed: __, ...place } = asked;
  return { ...place, prediction: { id, text, finish }, tokens: { asked: prompt.length, written: tokens.length } };
}
