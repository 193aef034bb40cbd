/** @file A conversation with a language model. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { RunnableModel } from '@onnx-lora/sdk/tasks';
import { type ChatMessage, type ChatTemplate, openChatTemplate } from '../chat/chatTemplate.ts';
import type { GenerateOptions } from './generateOptions.ts';
import type { GeneratedText, TextGenerator, TextPiece } from './textGenerator.ts';

/** A conversation in turns. Each turn reads only the new tokens. */
export class ChatConversation {
  readonly #generator: TextGenerator;
  readonly #template: ChatTemplate;
  readonly #beginning: readonly ChatMessage[];
  #messages: readonly ChatMessage[];

  /** Used by {@link openConversation}; `beginning` are the initial messages, such as the system's. */
  constructor(generator: TextGenerator, template: ChatTemplate, beginning: readonly ChatMessage[]) {
    this.#generator = generator;
    this.#template = template;
    this.#beginning = beginning;
    this.#messages = beginning;
  }

  /** The messages so far. */
  get messages(): readonly ChatMessage[] {
    return this.#messages;
  }

  /**
   * Streams the answer to a user message, which joins the conversation once the answer is complete.
   * @throws OnnxLoraError `DATA_INVALID` if the chat template refuses it; others as `generator.generate`
   */
  async *answer(content: string, options: GenerateOptions = {}): AsyncGenerator<TextPiece, GeneratedText> {
    const asked = [...this.#messages, { role: 'user', content }];
    const prompt = this.#template.render({ messages: asked }, { addGenerationPrompt: true }).text;
    const [text] = yield* this.#generator.generate(prompt, { ...options, addSpecialTokens: false });
    this.#messages = [...asked, { role: 'assistant', content: text!.text }];
    return text!;
  }

  /** Restarts the conversation from its initial messages. */
  reset(): void {
    this.#messages = this.#beginning;
  }
}

/**
 * Starts a conversation with the chat template of the model's folder.
 * @example
 * ```ts
 * const conversation = await openConversation(model, generator, [{ role: 'system', content: 'Answer in one sentence.' }]);
 * for await (const { text } of conversation.answer('What is a package?')) process.stdout.write(text);
 * ```
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for a model without a chat template; `CONFIG_INVALID` for an unreadable one
 */
export async function openConversation(
  { folder, name }: Pick<RunnableModel, 'folder' | 'name'>,
  generator: TextGenerator,
  beginning: readonly ChatMessage[] = [],
): Promise<ChatConversation> {
  const template = folder === undefined ? undefined : await openChatTemplate(folder);
  if (!template) {
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `"${name}" has no chat template, so it was taught no conversations. Have it continue with a text, by generator.generate, or put chat_template.jinja beside it.`,
    );
  }
  return new ChatConversation(generator, template, beginning);
}
