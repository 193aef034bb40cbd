/** @file The report's section with example answers to held-out conversations. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { evenlySpaced, type ReportClip, type ReportRequest, type ReportSection } from '@onnx-lora/sdk/tasks';
import type { ConversationRecord } from '../../data/readConversations.ts';
import { likeliestByDefault } from '../../generation/generateOptions.ts';
import { openGenerator } from '../../generation/openGenerator.ts';
import type { GeneratedText } from '../../generation/textGenerator.ts';
import { promptWithReference, type PromptRules } from './promptWithReference.ts';

/** Maximum number of conversations. */
const MOST = 6;
/** Maximum tokens per answer. */
const TOKENS = 64;
/** Maximum characters of a question; its end is kept. */
const SHOWN = 600;

export interface AnswerRules extends PromptRules {
  /** Maximum tokens of a row. */
  readonly most: number;
}

/**
 * Greedy answers of the base and of the adapter to prompts spread over the held-out data that leave room for them.
 * Empty without prompts, or for a model that cannot generate.
 */
export async function answerSection(
  records: readonly ConversationRecord[],
  rules: AnswerRules,
  { model, adapter, options }: Pick<ReportRequest, 'model' | 'adapter' | 'options'>,
): Promise<readonly ReportSection[]> {
  const asking = records.filter((record) => 'messages' in record || record.prompt !== '');
  const prompts = evenlySpaced(asking.length, MOST).flatMap((i) => {
    const prompt = promptWithReference(asking[i]!, rules);
    const isShown = prompt?.wanted !== undefined && prompt.ids.length + TOKENS <= rules.most;
    return isShown ? [{ ...prompt, where: asking[i]!.where }] : [];
  });
  if (prompts.length === 0) return [];
  const written = await answersOf(prompts.map(({ ids }) => ids), rules, { model, adapter, options }); // prettier-ignore
  if (!written) return [];
  const clips = prompts.map(({ where, asked, wanted }, i): ReportClip => {
    const line = (label: string, text: string): ReportClip['lines'][number] => ({
      label,
      pieces: text.trim() === '' ? [] : [{ text: text.trim() }],
    });
    const [before, after] = [written[i]!, written[prompts.length + i]!].map(textOf);
    const question = asked.length > SHOWN ? `… ${asked.slice(-SHOWN)}` : asked;
    const lines = [line('asked', question), line('wanted', wanted!), line('before', before!), line('after', after!)];
    return { title: where, lines };
  });
  const text = `Answers of the model to held-out conversations, without and with the adapter: greedy, and at most ${TOKENS} tokens long.`;
  return [{ kind: 'clips', title: 'Answers', text, clips }];
}

/** The base's texts, then the adapter's; undefined for a model that can be trained but cannot generate. */
async function answersOf(
  prompts: readonly (readonly number[])[],
  { tokenizer }: AnswerRules,
  { model, adapter, options }: Pick<ReportRequest, 'model' | 'adapter' | 'options'>,
): Promise<readonly GeneratedText[] | undefined> {
  try {
    await using generator = await openGenerator(model, { ...options, adapter, tokenizer });
    const rows = [null, 'adapter'].flatMap((each) => prompts.map((prompt) => ({ prompt, adapter: each })));
    return await generator.complete(rows, likeliestByDefault({ maxNewTokens: TOKENS }));
  } catch (error) {
    if (error instanceof OnnxLoraError && error.code === 'MODEL_UNSUPPORTED') return undefined;
    throw error;
  }
}

/** Marks a text that reached the maximum length. */
function textOf({ text, finish }: GeneratedText): string {
  return finish === 'length' ? `${text.trimEnd()} …` : text;
}
