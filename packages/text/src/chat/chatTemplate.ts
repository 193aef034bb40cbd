/** @file Renders conversations with a model's chat template. */

import { join } from '@onnx-lora/sdk/platform';
import { isObject, type JsonObject, readText, readTokenizerFile } from '@onnx-lora/sdk/data';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { compileJinja, RaisedByTemplate } from './boundedJinja.ts';

/** Special tokens by role: `{ bos_token: '<s>', eos_token: '</s>' }`. */
export type NamedTokens = Readonly<Record<string, string>>;

/**
 * Reads the special tokens of `tokenizer_config.json` and `special_tokens_map.json`.
 * @throws OnnxLoraError `CONFIG_INVALID` for unreadable files
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

/** Messages and the available tools. */
export interface Conversation {
  /** The messages in order. */
  readonly messages: readonly ChatMessage[];
  /** JSON schemas of functions that the model may call. */
  readonly tools?: readonly unknown[] | undefined;
  /** Further variables of the template, such as `enable_thinking`. */
  readonly variables?: JsonObject | undefined;
}

/** Options of `ChatTemplate.render`. */
export interface RenderOptions {
  /** Whether to append the beginning of an answer; false by default. */
  readonly addGenerationPrompt?: boolean;
  /** Whether to leave the last message open for the model to continue; false by default. */
  readonly continueFinalMessage?: boolean;
}

/** A rendered conversation. */
export interface RenderedChat {
  /** The rendered text, ready to tokenize. */
  readonly text: string;
  /** Spans of the assistant's text, by the template's `{% generation %}`; undefined for a template without it. */
  readonly answers?: readonly (readonly [start: number, end: number])[];
}

/** Marks around the assistant's text in the rendered conversation: Unicode noncharacters. */
const [BEGIN, END] = ['\uFDD0', '\uFDD1'] as const;
const marks = /[\uFDD0\uFDD1]/;
/** Appended to an open message to find its end. */
const OPEN = 'CONTINUE_FINAL_MESSAGE_TAG ';

/** Renders conversations as transformers' `apply_chat_template` does. */
export class ChatTemplate {
  /** The template's file. */
  readonly path: string;
  readonly #render: (variables: Readonly<Record<string, unknown>>) => string;
  readonly #tokens: NamedTokens;
  readonly #hasAnswers: boolean;

  /**
   * @param source the Jinja template
   * @param tokens special tokens by the names that templates know: `{ bos_token: '<s>' }`
   * @param path the template's file, for messages
   * @throws OnnxLoraError `CONFIG_INVALID` for an invalid template
   */
  constructor(source: string, tokens: NamedTokens, path: string) {
    this.path = path;
    // A block tag has the blanks around it trimmed, as transformers' `generation` tag has.
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
   * Renders a conversation.
   * @param where its place in the data, for messages
   * @throws OnnxLoraError `DATA_INVALID` for a conversation that the template refuses, or a message without the content
   * that it reads; `CONFIG_INVALID` where the template fails
   */
  render(conversation: Conversation, options: RenderOptions = {}, where = 'The conversation'): RenderedChat {
    const { messages, tools, variables } = conversation;
    const { addGenerationPrompt = false, continueFinalMessage = false } = options;
    if (marks.test(JSON.stringify([messages, tools, variables])))
      throw refused(where, 'it has the character U+FDD0 or U+FDD1, which stands for nothing', 'Take it out');
    // As in transformers: templates test for absent fields, but write null as "None".
    const said: JsonObject[] = messages.map((message) =>
      Object.fromEntries(Object.entries(message).filter(([, value]) => value !== null && value !== undefined)),
    );
    const last = said.at(-1);
    if (continueFinalMessage) {
      if (typeof last?.['content'] !== 'string')
        throw refused(where, 'its last message has no text to continue with', 'End it with the beginning of an answer');
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

  /** The error for missing content, such as beside OpenAI's tool calls; undefined if filling it in does not help. */
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

function filled(messages: readonly JsonObject[]): JsonObject[] {
  return messages.map((message) => ({ content: '', ...message }));
}

function refused(where: string, reason: string, remedy: string, cause?: unknown): OnnxLoraError {
  const message = `${where}: ${reason}${/[.!?]$/.test(reason) ? '' : '.'} ${remedy}, or leave it out.`;
  return new OnnxLoraError('DATA_INVALID', message, cause === undefined ? {} : { cause });
}

/** Cuts the text at the end of the open message; keeps blanks there where the template does. */
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

/** The name of the usual template in a list: `[{ name: 'default', template: … }]`. */
const USUAL = 'default';

/**
 * Opens the chat template of a model's folder: `chat_template.jinja`, or `chat_template` of `tokenizer_config.json`
 * (`default`, if it lists several); undefined without one.
 * @throws OnnxLoraError `CONFIG_INVALID` for unreadable files and invalid templates
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
