/** @file Conversations and texts as tokens, and which of the tokens are learned. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { SequenceTokenizer } from '@onnx-lora/sequences';
import type { ChatTemplate, Conversation } from './chatTemplate.ts';

/** What is learned of a conversation: all that the assistant says, the last answer alone, or every token. */
export type Learned = 'answers' | 'last' | 'all';

/** Tokens, and what is learned of them. */
export interface TaughtTokens {
  readonly ids: readonly number[];
  /** Of each, whether the model is to write it. */
  readonly isLearned: readonly boolean[];
  /** Of each, the bytes of UTF-8 that it stands for: 0 for special tokens. */
  readonly bytes: readonly number[];
}

/** Part of a text: where it begins, and where what comes next begins. */
type Span = readonly [start: number, end: number];

/**
 * Tokens of a conversation as transformers' `apply_chat_template` gives them, with its `assistant_masks`: what the template's
 * `{% generation %}` encloses. Without that tag an answer is what stands behind the text that asks for it, as TRL has it: the
 * conversation before it with the beginning of an answer. An answer whose message has the `weight` 0 is not learned.
 *
 * @param where it is in the data, for messages
 * @throws OnnxLoraError `DATA_INVALID`, `CONFIG_INVALID` of the template
 */
export function chatTokens(
  conversation: Conversation,
  { tokenizer, template, learned }: { readonly tokenizer: SequenceTokenizer; readonly template: ChatTemplate; readonly learned: Learned }, // prettier-ignore
  where: string,
): TaughtTokens {
  const { text, answers } = template.render(conversation, {}, where);
  const { ids, starts, ends } = tokenizer.tokens(text);
  const spans = answers ?? (learned === 'all' ? [] : answersByPrefix(conversation, template, text, where, ends));
  const counted = weighed(spans, conversation, where);
  const asked: readonly Span[] =
    learned === 'all' ? [[0, text.length]] : learned === 'last' ? counted.slice(-1) : counted;
  return marked(tokenizer, text, { ids, starts, ends }, asked);
}

/**
 * Tokens of a text that is gone on with, as the model was trained on texts: with what stands around one, and the token that ends
 * it. A token across the border is a part of what is learned.
 *
 * @param prompt what is read, and not learned; may be empty
 * @param end the id of the token that ends a text, where there is one
 */
export function plainTokens(
  tokenizer: SequenceTokenizer,
  prompt: string,
  completion: string,
  end: number | undefined,
): TaughtTokens {
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

/** Tokens that stand for any of the spans are learned. Spaces before a word belong to its token, whose place begins behind them. */
function marked(
  tokenizer: SequenceTokenizer,
  text: string,
  { ids, starts, ends }: ReturnType<SequenceTokenizer['tokens']>,
  spans: readonly Span[],
): TaughtTokens {
  let at = 0;
  const isLearned = ids.map((_, i) => {
    while (at < spans.length && starts[i]! >= spans[at]![1]) at++;
    const [start] = spans[at] ?? [Infinity];
    return ends[i]! > start || (starts[i] === ends[i] && starts[i]! >= start);
  });
  const bytes = ids.map((id, i) =>
    tokenizer.specialIds.has(id) ? 0 : Buffer.byteLength(text.slice(ends[i - 1] ?? 0, ends[i])),
  );
  return { ids, isLearned, bytes };
}

/** The answers of a conversation whose template does not mark them. */
function answersByPrefix(
  { messages, ...others }: Conversation,
  template: ChatTemplate,
  text: string,
  where: string,
  ends: readonly number[],
): readonly Span[] {
  const spans: Span[] = [];
  for (const [i, { role }] of messages.entries()) {
    if (role !== 'assistant' || messages[i - 1]?.role === 'assistant') continue;
    const before = { ...others, messages: messages.slice(0, i) };
    const asked = template.render(before, { addGenerationPrompt: true }, where).text;
    let last = i;
    while (messages[last + 1]?.role === 'assistant') last++;
    const answered = template.render({ ...others, messages: messages.slice(0, last + 1) }, {}, where).text;
    const isLast = last === messages.length - 1;
    if (!text.startsWith(asked)) {
      throw new OnnxLoraError(
        'CONFIG_INVALID',
        `${where}: the chat template of "${template.path}" writes what comes before an answer otherwise once there is more to say, so that it is not known where answer ${spans.length + 1} begins. Put {% generation %} and {% endgeneration %} around what the assistant says in the template.`,
      );
    }
    const shared = isLast ? text.length : sharedLength(text, answered);
    // What two texts share by chance may end within a token.
    const whole = ends.findLast((end) => end <= shared) ?? 0;
    spans.push([asked.length, Math.max(asked.length, whole)]);
  }
  return spans;
}

/** How many characters two texts begin with alike. */
function sharedLength(first: string, second: string): number {
  let length = 0;
  while (length < first.length && first[length] === second[length]) length++;
  return length;
}

/** The answers that are to be learned by the weights of their messages, 0 or 1, which OpenAI's data may have. */
function weighed(spans: readonly Span[], { messages }: Conversation, where: string): readonly Span[] {
  const said = messages.filter(({ role }) => role === 'assistant');
  if (!said.some((message) => message['weight'] === 0)) return spans;
  if (said.length === spans.length) return spans.filter((_, i) => said[i]!['weight'] !== 0);
  throw new OnnxLoraError(
    'DATA_INVALID',
    `${where}: an answer has the weight 0, but the chat template makes ${spans.length} answers of ${said.length} messages of the assistant. Leave such weights out.`,
  );
}
