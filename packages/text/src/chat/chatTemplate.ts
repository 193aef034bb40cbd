/** @file Renders conversations with a model's chat template. */

import { join } from 'node:path';
import { isObject, type JsonObject, readText, readTokenizerFile } from '@onnx-lora/sdk/data';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { compileJinja, RaisedByTemplate } from './boundedJinja.ts';

/** Tokens by what they are for: `{ bos_token: '<s>', eos_token: '</s>' }`. */
export type NamedTokens = Readonly<Record<string, string>>;

/**
 * Reads the special tokens of `tokenizer_config.json` and `special_tokens_map.json`.
 * @throws OnnxLoraError `CONFIG_INVALID` for files that cannot be read
 */
export async function readNamedTokens(folder: string): Promise<NamedTokens> {
  const named: Record<string, string> = {};
  for (const file of ['special_tokens_map.json', 'tokenizer_config.json']) {
    for (const [name, token] of Object.entries((await readTokenizerFile(folder, file)) ?? {})) {
      const text = isObject(token) ? token['content'] : token;
      if (name.endsWith('_token') && typeof text === 'string') named[name] = text;
    }
  }
  return named;
}

/** A message: `role`, `content`, and other fields that a template may read, such as `tool_calls`. */
export interface ChatMessage extends JsonObject {
  /** `system`, `user`, `assistant` or `tool`. */
  readonly role: string;
}

/** Messages in order, with the available tools. */
export interface Conversation {
  /** In their order. */
  readonly messages: readonly ChatMessage[];
  /** JSON schemas of functions that the model may call. */
  readonly tools?: readonly unknown[] | undefined;
  /** Further variables of the template, such as `enable_thinking`. */
  readonly variables?: JsonObject | undefined;
}

/** How a conversation ends. */
export interface RenderOptions {
  /** Whether to append the beginning of an answer; false by default. */
  readonly addGenerationPrompt?: boolean;
  /** Whether to leave the last message open for the model to continue; false by default. */
  readonly continueFinalMessage?: boolean;
}

/** A conversation as text. */
export interface RenderedChat {
  /** What the model is fed, as tokens. */
  readonly text: string;
  /** Spans of the assistant's text, by the template's `{% generation %}`; undefined for a template without it. */
  readonly answers?: readonly (readonly [start: number, end: number])[];
}

/** What begins and ends an answer in the rendered text: characters that Unicode keeps for a program's own use. */
const [BEGIN, END] = ['\uFDD0', '\uFDD1'] as const;
const marks = /[\uFDD0\uFDD1]/;
/** Appended to an open message to find its end. */
const OPEN = 'CONTINUE_FINAL_MESSAGE_TAG ';

/** Makes text of conversations, as transformers' `apply_chat_template` does. */
export class ChatTemplate {
  /** The file that it is from. */
  readonly path: string;
  readonly #render: (variables: Readonly<Record<string, unknown>>) => string;
  readonly #tokens: NamedTokens;
  readonly #hasAnswers: boolean;

  /**
   * @param source Jinja
   * @param tokens special tokens by the names that templates know: `{ bos_token: '<s>' }`
   * @param path of the file that it is from, for messages
   * @throws OnnxLoraError `CONFIG_INVALID` for what is no template
   */
  constructor(source: string, tokens: NamedTokens, path: string) {
    this.path = path;
    // Tags of a block, so that blanks around them are trimmed as around transformers' own.
    const marked = source.replaceAll(
      /\{%(-?)\s*(end)?generation\s*(-?)%\}/g,
      (_, left: string, end: string | undefined, right: string) =>
        `{%${left} if true %}{{ "${end ? END : BEGIN}" }}{% endif ${right}%}`,
    );
    this.#hasAnswers = marked !== source;
    this.#render = compileJinja(marked, path);
    this.#tokens = tokens;
  }

  /**
   * The text of a conversation.
   * @param where it is in the data, for messages
   * @throws OnnxLoraError `DATA_INVALID` for a conversation that the template refuses, and a message without the content that it
   *   reads; `CONFIG_INVALID` where the template fails
   */
  render(conversation: Conversation, options: RenderOptions = {}, where = 'The conversation'): RenderedChat {
    const { messages, tools, variables } = conversation;
    const { addGenerationPrompt = false, continueFinalMessage = false } = options;
    if (marks.test(JSON.stringify([messages, tools, variables])))
      throw refused(where, 'it has the character U+FDD0 or U+FDD1, which stands for nothing', 'Take it out');
    // As transformers does: templates tell what is not there, but write "None" for what is null.
    const said: JsonObject[] = messages.map((message) =>
      Object.fromEntries(Object.entries(message).filter(([, value]) => value !== null && value !== undefined)),
    );
    const last = said.at(-1);
    if (continueFinalMessage) {
      if (typeof last?.['content'] !== 'string')
        throw refused(where, 'its last message has no text to go on with', 'End it with the beginning of an answer');
      said[said.length - 1] = { ...last, content: last['content'] + OPEN };
    }
    const text = this.#run(
      { ...this.#tokens, messages: said, tools: tools ?? null, documents: null, add_generation_prompt: addGenerationPrompt, ...variables }, // prettier-ignore
      where,
    );
    const { text: plain, answers } = withoutMarks(text);
    if (continueFinalMessage) return { text: openEnd(plain, where) };
    return { text: plain, ...(this.#hasAnswers && { answers }) };
  }

  #run(variables: Readonly<Record<string, unknown>>, where: string): string {
    try {
      return this.#render(variables);
    } catch (cause) {
      if (!(cause instanceof RaisedByTemplate)) throw this.#withoutContent(variables, where, cause) ?? cause;
      throw refused(where, `the chat template of "${this.path}" says: ${cause.message}`, 'Write it as the model was taught', cause); // prettier-ignore
    }
  }

  /** What is wrong where a template fails for want of a content, as beside calls in OpenAI's form; undefined where it fails with one too. */
  #withoutContent(
    { messages, ...variables }: Readonly<Record<string, unknown>>,
    where: string,
    cause: unknown,
  ): OnnxLoraError | undefined {
    const said = messages as readonly JsonObject[];
    const at = said.findIndex(({ content }) => content === undefined);
    if (at < 0) return undefined;
    const withoutCalls = said.map((each) => {
      const { tool_calls: _, ...message } = each;
      return message;
    });
    try {
      const [whole, rest] = [said, withoutCalls].map((each) => this.#render({ ...variables, messages: filled(each) }));
      const reason = `message ${at + 1} (${String(said[at]!['role'])}) has no content, and the chat template of "${this.path}" reads one`;
      const remedy = whole === rest ? 'It writes no tool_calls: give the call as text in "content"' : 'Write "content": "" beside its tool_calls'; // prettier-ignore
      return refused(where, reason, remedy, cause);
    } catch {
      return undefined;
    }
  }
}

/** With a content in every message. */
function filled(messages: readonly JsonObject[]): JsonObject[] {
  return messages.map((message) => ({ content: '', ...message }));
}

function refused(where: string, reason: string, remedy: string, cause?: unknown): OnnxLoraError {
  const message = `${where}: ${reason}${/[.!?]$/.test(reason) ? '' : '.'} ${remedy}, or leave it out.`;
  return new OnnxLoraError('DATA_INVALID', message, cause === undefined ? {} : { cause });
}

/** The text up to the end of the message that is left open; blanks at its end are kept where the template keeps them. */
function openEnd(text: string, where: string): string {
  const at = text.lastIndexOf(OPEN.trimEnd());
  if (at < 0) throw refused(where, 'the chat template leaves its last message out', 'End it with another');
  return text.startsWith(OPEN, at) ? text.slice(0, at) : text.slice(0, at).trimEnd();
}

function withoutMarks(marked: string): Required<RenderedChat> {
  const answers: (readonly [number, number])[] = [];
  let text = '';
  let start = 0;
  for (const part of marked.split(/([\uFDD0\uFDD1])/)) {
    if (part === BEGIN) start = text.length;
    else if (part === END) answers.push([start, text.length]);
    else text += part;
  }
  return { text, answers };
}

/** The template of a list that is called so: `[{ name: 'default', template: … }]`. */
const USUAL = 'default';

/**
 * Opens the chat template of a model's folder: `chat_template.jinja`, or `chat_template` of `tokenizer_config.json` (of
 * several, `default`); undefined without one.
 * @throws OnnxLoraError `CONFIG_INVALID` for files that cannot be read, and invalid templates
 */
export async function openChatTemplate(folder: string): Promise<ChatTemplate | undefined> {
  const config = (await readTokenizerFile(folder, 'tokenizer_config.json')) ?? {};
  const tokens = await readNamedTokens(folder);
  const file = join(folder, 'chat_template.jinja');
  const text = await readText(file).catch((cause: unknown) => {
    if (cause instanceof OnnxLoraError && cause.code === 'FILE_NOT_FOUND') return undefined;
    throw cause;
  });
  if (text !== undefined) return new ChatTemplate(text, tokens, file);
  const path = join(folder, 'tokenizer_config.json');
  const given = config['chat_template'] ?? undefined;
  const all: unknown[] = Array.isArray(given) ? given : [{ name: USUAL, template: given }];
  const source = all.find((each) => isObject(each) && each['name'] === USUAL) as JsonObject | undefined;
  if (given === undefined) return undefined;
  if (typeof source?.['template'] === 'string') return new ChatTemplate(source['template'], tokens, path);
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `"${path}" has a chat_template that is neither a text nor a list with one called "${USUAL}". Copy the file again from where the model was published.`,
  );
}
