/** @file A conversation with a language model. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { RunnableModel } from '@onnx-lora/sdk/tasks';
import { type ChatMessage, type ChatTemplate, openChatTemplate } from '../chat/chatTemplate.ts';
import type { GenerateOptions } from './generateOptions.ts';
import type { GeneratedText, TextGenerator, TextPiece } from './textGenerator.ts';

/** A conversation in turns, which reads only new tokens. */
export class ChatConversation {
  readonly #generator: TextGenerator;
  readonly #template: ChatTemplate;
  readonly #beginning: readonly ChatMessage[];
  #messages: readonly ChatMessage[];

  /**
   * Used by {@link openConversation}.
   * @param beginning messages before the conversation, such as the system's
   */
  constructor(generator: TextGenerator, template: ChatTemplate, beginning: readonly ChatMessage[]) {
    this.#generator = generator;
    this.#template = template;
    this.#beginning = beginning;
    this.#messages = beginning;
  }

  /** What was said so far. */
  get messages(): readonly ChatMessage[] {
    return this.#messages;
  }

  /**
   * Streams the answer to the user's message. The message is recorded once its answer is complete.
   * @throws OnnxLoraError `DATA_INVALID` where the chat template refuses; others as `generator.generate`
   */
  async *answer(content: string, options: GenerateOptions = {}): AsyncGenerator<TextPiece, GeneratedText> {
    const asked = [...this.#messages, { role: 'user', content }];
    const prompt = this.#template.render({ messages: asked }, { addGenerationPrompt: true }).text;
    const [text] = yield* this.#generator.generate(prompt, { ...options, addSpecialTokens: false });
    this.#messages = [...asked, { role: 'assistant', content: text!.text }];
    return text!;
  }

  /** Starts again. */
  reset(): void {
    this.#messages = this.#beginning;
  }
}

/**
 * Begins a conversation, by the chat template in the model's folder.
 * @example
 * ```ts
 * const conversation = await openConversation(model, generator, [{ role: 'system', content: 'Answer in one sentence.' }]);
 * for await (const { text } of conversation.answer('What is a package?')) process.stdout.write(text);
 * ```
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for a model without a chat template; `CONFIG_INVALID` for one that cannot be read
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
      `"${name}" has no chat template, so it was taught no conversations. Have it go on with a text, by generator.generate, or put chat_template.jinja beside it.`,
    );
  }
  return new ChatConversation(generator, template, beginning);
}
