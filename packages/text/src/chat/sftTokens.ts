/** @file Tokenizes conversations and texts, and marks the learned tokens. */

import { utf8 } from '@onnx-lora/sdk/platform';
import { OnnxLoraError } from '@onnx-lora/sdk';
import type { SequenceTokenizer } from '@onnx-lora/sequences';
import type { ChatMessage, ChatTemplate, Conversation } from './chatTemplate.ts';

/** Learned tokens: all answers of the assistant, the last answer alone, or every token. */
export type LearnedTokens = 'answers' | 'last' | 'all';

export interface SftTokens {
  readonly ids: readonly number[];
  readonly isLearned: readonly boolean[];
  /** UTF-8 bytes per token; 0 for special tokens. */
  readonly bytes: readonly number[];
}

type Span = readonly [start: number, end: number];

/**
 * Tokenizes a conversation as transformers' `apply_chat_template` does, with its `assistant_masks`: the template's `{%
 * generation %}` encloses learned text. Without that tag an answer begins, as in TRL, after the rendered earlier
 * messages plus generation prompt. An answer whose message has `weight` 0 is not learned.
 * @param where its place in the data, for messages
 * @throws OnnxLoraError `DATA_INVALID`, `CONFIG_INVALID` of the template
 */
export function chatTokens(
  conversation: Conversation,
  { tokenizer, template, learned }: { readonly tokenizer: SequenceTokenizer; readonly template: ChatTemplate; readonly learned: LearnedTokens }, // prettier-ignore
  where: string,
): SftTokens {
  const plain = withoutWeights(conversation);
  const { text, answers } = template.render(plain, {}, where);
  const placed = tokenizer.tokens(text);
  const spans = (): readonly Span[] => {
    if (learned === 'all') return [[0, text.length]];
    const isWanted = ({ weight }: ChatMessage): boolean => weight !== 0;
    const said = conversation.messages.filter(({ role }) => role === 'assistant').map(isWanted);
    if (answers) {
      const wanted = said.every(Boolean) ? answers : wantedAnswers(answers, said, where);
      return learned === 'last' ? wanted.slice(-1) : wanted;
    }
    const turns = [...conversation.messages.keys()].filter(
      (i) => isTurn(conversation.messages, i) && isWanted(conversation.messages[i]!),
    );
    const asked = learned === 'last' ? turns.slice(-1) : turns;
    return asked.map((turn) => answerByPrefix({ conversation: plain, turn, template, text, where, ends: placed.ends }));
  };
  return marked(tokenizer, text, placed, spans());
}

/** The conversation without the messages' `weight`, which templates must not see. */
export function withoutWeights<C extends Conversation>(conversation: C): C {
  const messages = conversation.messages.map((message): ChatMessage => {
    const { weight: _, ...said } = message;
    return said as ChatMessage;
  });
  return { ...conversation, messages };
}

/**
 * Tokenizes a prompt and its completion as one text, with the special tokens and end token of pretraining. A token that
 * spans the border is learned.
 * @param prompt not learned; may be empty
 * @param end id of the token that ends a text
 */
export function plainTokens(
  tokenizer: SequenceTokenizer,
  prompt: string,
  completion: string,
  end: number | undefined,
): SftTokens {
  const text = prompt + completion;
  const placed = tokenizer.tokens(text);
  const { isLearned, bytes } = marked(tokenizer, text, placed, [[prompt.length, text.length]]);
  const { ids, firstAt } = tokenizer.framed(placed.ids);
  const before = Array.from({ length: firstAt }, () => 0);
  const after = ids.slice(firstAt + placed.ids.length);
  if (end !== undefined && after.at(-1) !== end) after.push(end);
  return {
    ids: [...ids.slice(0, firstAt + placed.ids.length), ...after],
    isLearned: [...before.map(() => false), ...isLearned, ...after.map(() => true)],
    bytes: [...before, ...bytes, ...after.map(() => 0)],
  };
}

/** Marks the tokens of the spans as learned. A token includes the spaces before its word, its offset does not. */
function marked(
  tokenizer: SequenceTokenizer,
  text: string,
  { ids, starts, ends }: ReturnType<SequenceTokenizer['tokens']>,
  spans: readonly Span[],
): SftTokens {
  let at = 0;
  const isLearned = ids.map((_, i) => {
    while (at < spans.length && starts[i]! >= spans[at]![1]) at++;
    const [start] = spans[at] ?? [Infinity];
    return ends[i]! > start || (starts[i] === ends[i] && starts[i]! >= start);
  });
  const bytes = ids.map((id, i) =>
    tokenizer.specialIds.has(id) ? 0 : utf8(text.slice(ends[i - 1] ?? 0, ends[i])).length,
  );
  return { ids, isLearned, bytes };
}

/** Whether the assistant's turn begins with this message. */
export function isTurn(messages: readonly ChatMessage[], i: number): boolean {
  return messages[i]!.role === 'assistant' && messages[i - 1]?.role !== 'assistant';
}

/** The span of an answer, for templates without a generation tag. */
function answerByPrefix(asked: {
  readonly conversation: Conversation;
  readonly turn: number;
  readonly template: ChatTemplate;
  readonly text: string;
  readonly where: string;
  readonly ends: readonly number[];
}): Span {
  const { conversation, turn, template, text, where, ends } = asked;
  const { messages } = conversation;
  const upTo = (count: number, addGenerationPrompt: boolean): string =>
    template.render({ ...conversation, messages: messages.slice(0, count) }, { addGenerationPrompt }, where).text;
  const before = upTo(turn, true);
  if (!text.startsWith(before)) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `${where}: the chat template of "${template.path}" writes what comes before message ${turn + 1} otherwise once there is more to say, so that it is not known where that begins. Put {% generation %} and {% endgeneration %} around what the assistant says in the template, or have only last answers learned (learn: 'last', or --set learn=last).`,
    );
  }
  const next = messages.findIndex(({ role }, i) => i > turn && role !== 'assistant');
  const shared = next < 0 ? text.length : sharedLength(text, upTo(next, false));
  // The common prefix may end within a token.
  const end = ends.findLast((each) => each <= shared) ?? 0;
  return [before.length, Math.max(before.length, end)];
}

function sharedLength(first: string, second: string): number {
  let length = 0;
  while (length < first.length && first[length] === second[length]) length++;
  return length;
}

/** Drops answers whose messages have weight 0, as OpenAI's data may have. */
function wantedAnswers(answers: readonly Span[], said: readonly boolean[], where: string): readonly Span[] {
  if (said.length === answers.length) return answers.filter((_, i) => said[i]);
  throw new OnnxLoraError(
    'DATA_INVALID',
    `${where}: an answer has the weight 0, but the chat template makes ${answers.length} answers of ${said.length} messages of the assistant. Leave such weights out.`,
  );
}
