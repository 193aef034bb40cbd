/** @file Public API of the text package. */

export {
  type GivenTaggedText,
  readTaggedTexts,
  type TaggedColumns,
  type TaggedOptions,
  type TaggedSource,
  type TaggedText,
} from './data/taggedText.ts';
export { readTextData } from './data/readTextData.ts';
export { streamTexts } from './data/streamTexts.ts';
export type { GivenText, TextColumns, TextDataOptions, TextSource } from './data/textColumns.ts';
export type { TextPredictorOptions, TextTaskOptions, WholeTextOptions } from './domain.ts';
export { textFamilies } from './families/index.ts';
export { mixtral, qwenMoe } from './families/experts.ts';
export { bloom, gpt2, gptNeox, opt } from './families/gpt.ts';
export { gemma, llama, mistral, qwen2, qwen3, smollm3 } from './families/llama.ts';
export { phi, phi3 } from './families/phi.ts';
export type { StretchMethod } from './positions/frequencies.ts';
export { stretchPositions, type StretchOptions } from './positions/stretchPositions.ts';
export { textPlugin } from './plugin.ts';
export {
  openTextEmbedder,
  textEmbeddingTask,
  textRetrieval,
  type TextRetrievalOptions,
  textRetrievalTask,
} from './tasks/textEmbedding.ts';
export {
  type GivenQuestion,
  type QuestionColumns,
  type QuestionDataOptions,
  type QuestionRecord,
  type QuestionSource,
  readQuestions,
  type TextAnswer,
} from './data/readQuestions.ts';
export {
  type AnswerOptions,
  openQuestionAnswerer,
  questionAnswering,
  type QuestionAnsweringOptions,
  questionAnsweringTask,
  type QuestionAnswererOptions,
} from './tasks/questions/questionAnswering.ts';
export type { AnswerScores } from './tasks/questions/spanMetrics.ts';
export {
  maskedTextModelling,
  type MaskedTextModellingOptions,
  maskedTextModellingTask,
  openTextPerplexity,
} from './tasks/masked/maskedTextModelling.ts';
export {
  openTextReranker,
  type RerankingScores,
  textReranking,
  type TextRerankingOptions,
  textRerankingTask,
} from './tasks/reranking/textReranking.ts';
export {
  openTokenClassifier,
  tokenClassification,
  type TokenClassificationOptions,
  tokenClassificationTask,
} from './tasks/tagging/tokenClassification.ts';
export {
  openTextClassifier,
  openTextLabeller,
  openTextRegressor,
  textClassification,
  type TextClassificationOptions,
  textClassificationTask,
  textLabelling,
  type TextLabellingOptions,
  textLabellingTask,
  textRegression,
  type TextRegressionOptions,
  textRegressionTask,
} from './tasks/textTasks.ts';
export {
  type ChatMessage,
  ChatTemplate,
  type Conversation,
  type NamedTokens,
  openChatTemplate,
  type RenderedChat,
  type RenderOptions,
} from './chat/chatTemplate.ts';
export type { LearnedTokens } from './chat/sftTokens.ts';
export {
  type ConversationColumns,
  type ConversationData,
  type ConversationDataOptions,
  type ConversationRecord,
  type ConversationSource,
  type GivenConversation,
  type PromptedText,
  readConversations,
} from './data/readConversations.ts';
export type { Prompt, Prompts, RowPrompt } from './generation/checkedPrompts.ts';
export { ChatConversation, openConversation } from './generation/conversation.ts';
export { type GenerateOptions, generateSettings, type RowOptions } from './generation/generateOptions.ts';
export { type GeneratorOptions, openGenerator } from './generation/openGenerator.ts';
export type { FinishReason, GeneratedText, TextGenerator, TextPiece } from './generation/textGenerator.ts';
export type { JsonSchema } from './schema/jsonShape.ts';
export { type AnswererOptions, openAnswerer } from './tasks/chat/answerPredictor.ts';
export { chat, type ChatOptions } from './tasks/chat/chat.ts';
export type { ChatScores } from './tasks/chat/chatMetrics.ts';
export type { SftExample, SftRow } from './tasks/chat/sftRows.ts';
export {
  type GivenPreference,
  type PreferenceColumns,
  type PreferenceData,
  type PreferenceDataOptions,
  type PreferenceRecord,
  type PreferenceSource,
  readPreferences,
  type TextOrMessages,
} from './data/readPreferences.ts';
export type { PreferenceLoss, PreferenceLossOptions } from './tasks/preferences/preferenceLoss.ts';
export type { PreferenceScores } from './tasks/preferences/preferenceMetrics.ts';
export type { PreferenceExample } from './tasks/preferences/preferenceRows.ts';
export { type PreferenceOptions, preferences } from './tasks/preferences/preferences.ts';
export {
  chooseAnswers,
  type ChoiceOptions,
  type ChoiceQuestion,
  type ChosenAnswer,
  type ChosenAnswers,
} from './metrics/chooseAnswers.ts';
export {
  type ChoiceColumns,
  type ChoiceData,
  type ChoiceDataOptions,
  type ChoiceRecord,
  type ChoiceSource,
  type GivenChoice,
  readChoices,
} from './data/readChoices.ts';
export {
  type ChooserOptions,
  type ChoiceScores,
  multipleChoice,
  type MultipleChoiceOptions,
  openChooser,
} from './tasks/choices/multipleChoice.ts';
export { rougeL, type TextScores, textScores, wordF1 } from './metrics/textScores.ts';
