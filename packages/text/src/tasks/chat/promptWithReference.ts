/** @file Prompts of conversations and texts: the tokens before an answer. */

import type { SequenceTokenizer } from '@onnx-lora/sequences';
import type { ChatMessage, ChatTemplate } from '../../chat/chatTemplate.ts';
import { isTurn, withoutWeights } from '../../chat/sftTokens.ts';
import type { ConversationRecord } from '../../data/readConversations.ts';
import { noTemplate } from './sftRows.ts';

/** A prompt, and the answer in the data. */
export interface PromptWithReference {
  /** Token ids, with special tokens and the generation prompt. */
  readonly ids: readonly number[];
  /** The last message, or the prompt's text. */
  readonly asked: string;
  /** The answer in the data; undefined for a conversation that ends without one. */
  readonly wanted: string | undefined;
}

export interface PromptRules {
  readonly tokenizer: SequenceTokenizer;
  /** The model's chat template, if it has one. */
  readonly template: ChatTemplate | undefined;
}

/**
 * The prompt of a record's last answer: the messages before it, a whole conversation without a last answer, or a text's
 * prompt. Undefined without one.
 * @throws OnnxLoraError `CONFIG_INVALID` for a conversation without a template; `DATA_INVALID` as the template
 */
export function promptWithReference(
  record: ConversationRecord,
  { tokenizer, template }: PromptRules,
): PromptWithReference | undefined {
  if (!('messages' in record)) {
    const { prompt, completion } = record;
    if (prompt === '') return undefined;
    const own = tokenizer.tokens(prompt).ids;
    const { ids, firstAt } = tokenizer.framed(own);
    // Special tokens after the text would end it.
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

/** The messages' text; other content, such as calls, as JSON. */
function saidIn(messages: readonly ChatMessage[]): string {
  return messages
    .flatMap(({ content, tool_calls: calls }) => [content, calls])
    .filter((said) => said !== undefined && said !== null && said !== '')
    .map((said) => (typeof said === 'string' ? said : JSON.stringify(said)))
    .join('\n');
}
