/** @file What a model is asked by a conversation or a text: the tokens that come before an answer. */

import type { SequenceTokenizer } from '@onnx-lora/sequences';
import type { ChatMessage, ChatTemplate } from '../../chat/chatTemplate.ts';
import { isTurn, withoutWeights } from '../../chat/sftTokens.ts';
import type { ConversationRecord } from '../../data/readConversations.ts';
import { noTemplate } from './sftRows.ts';

/** A prompt, and the answer in the data. */
export interface AskedPrompt {
  /** Its tokens, with all special ones and the beginning of an answer. */
  readonly ids: readonly number[];
  /** What was said last. */
  readonly asked: string;
  /** The answer in the data; undefined where nothing is said behind the prompt. */
  readonly wanted: string | undefined;
}

/** By what prompts are made. */
export interface AskingRules {
  readonly tokenizer: SequenceTokenizer;
  /** Undefined where the model has none. */
  readonly template: ChatTemplate | undefined;
}

/**
 * What the last answer of a record was given to: the conversation before it, or the prompt; all of a conversation that ends without
 * an answer. Undefined where nothing is asked, as in a text without a prompt.
 * @throws OnnxLoraError `CONFIG_INVALID` for a conversation where there is no template; `DATA_INVALID` as the template
 */
export function askedPrompt(record: ConversationRecord, { tokenizer, template }: AskingRules): AskedPrompt | undefined {
  if (!('messages' in record)) {
    const { prompt, completion } = record;
    if (prompt === '') return undefined;
    const own = tokenizer.tokens(prompt).ids;
    const { ids, firstAt } = tokenizer.framed(own);
    // What stands behind a text would end it.
    return { ids: ids.slice(0, firstAt + own.length), asked: prompt, wanted: completion };
  }
  const { messages } = record;
  const isAnswered = messages.at(-1)!.role === 'assistant';
  const turn = isAnswered ? [...messages.keys()].findLast((i) => isTurn(messages, i))! : messages.length;
  const before = messages.slice(0, turn);
  if (before.length === 0) return undefined;
  if (!template) throw noTemplate(record.where);
  const { text } = template.render(withoutWeights({ ...record, messages: before }), { addGenerationPrompt: true }, record.where); // prettier-ignore
  return {
    ids: tokenizer.tokens(text).ids,
    asked: saidIn(before.slice(-1)),
    wanted: isAnswered ? saidIn(messages.slice(turn)) : undefined,
  };
}

/** What messages say; what is no text, such as a call, as JSON. */
function saidIn(messages: readonly ChatMessage[]): string {
  return messages
    .flatMap(({ content, tool_calls: calls }) => [content, calls])
    .filter((said) => said !== undefined && said !== null && said !== '')
    .map((said) => (typeof said === 'string' ? said : JSON.stringify(said)))
    .join('\n');
}
