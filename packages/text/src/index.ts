/** @file Public API of the text package. */

export { ChatTemplate, openChatTemplate } from './chat/chatTemplate.ts';
export type { ChatMessage, Conversation, RenderedChat, RenderOptions } from './chat/chatTemplate.ts';
export type { NamedTokens } from './chat/specialTokens.ts';
export type { Learned } from './chat/taughtTokens.ts';
export type {
  ConversationColumns,
  ConversationData,
  ConversationDataOptions,
  ConversationRecord,
  ConversationSource,
  GivenConversation,
  PromptedText,
} from './data/conversationRecord.ts';
export { readConversations } from './data/readConversations.ts';
export { textFamilies } from './families/index.ts';
export { llama } from './families/llama.ts';
export type { Prompt, Prompts, RowPrompt } from './generation/checkedPrompts.ts';
export { type GenerateOptions, generateSettings, type RowOptions } from './generation/generateOptions.ts';
export { type GeneratorOptions, openGenerator } from './generation/openGenerator.ts';
export type { FinishReason, GeneratedText, TextGenerator, TextPiece } from './generation/textGenerator.ts';
export { textPlugin } from './plugin.ts';
export { chat, type ChatOptions } from './tasks/chat/chat.ts';
export type { ChatScores } from './tasks/chat/chatMetrics.ts';
export type { TaughtExample, TaughtRow } from './tasks/chat/taughtRows.ts';
