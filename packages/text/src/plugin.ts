/** @file The text package as a plugin. */

import type {
  RecordClassPrediction,
  RecordLabelsPrediction,
  RecordNumberPrediction,
  RecordPrediction,
} from '@onnx-lora/sdk';
import { definePlugin, type Plugin } from '@onnx-lora/sdk/plugin';
import { textFamilies } from './families/index.ts';
import { multipleChoiceTask } from './tasks/choices/multipleChoice.ts';
import { maskedTextModellingTask } from './tasks/masked/maskedTextModelling.ts';
import { questionAnsweringTask } from './tasks/questions/questionAnswering.ts';
import { textRerankingTask } from './tasks/reranking/textReranking.ts';
import { tokenClassificationTask } from './tasks/tagging/tokenClassification.ts';
import { textEmbeddingTask, textRetrievalTask } from './tasks/textEmbedding.ts';
import { textClassificationTask, textLabellingTask, textRegressionTask } from './tasks/textTasks.ts';
import { chatTask } from './tasks/chat/chat.ts';
import { preferencesTask } from './tasks/preferences/preferences.ts';

declare module '@onnx-lora/sdk' {
  interface TaskPredictions {
    'text-classification': RecordClassPrediction;
    'text-labelling': RecordLabelsPrediction;
    'text-regression': RecordNumberPrediction;
    'text-embedding': RecordPrediction<Readonly<{ embedding: Float32Array }>>;
    'question-answering': RecordPrediction<
      Readonly<{ answer: string; start: number | null; end: number | null; score: number }>
    >;
    chat: RecordPrediction<Readonly<{ text: string }>>;
  }
}

/** The plugin with all families and tasks on texts. */
export const textPlugin: Plugin = definePlugin({
  name: '@onnx-lora/text',
  description: 'Texts: classes, labels and numbers about them, and language models that are taught to answer.',
  families: textFamilies,
  tasks: [
    textClassificationTask,
    textLabellingTask,
    textRegressionTask,
    textEmbeddingTask,
    textRetrievalTask,
    textRerankingTask,
    tokenClassificationTask,
    questionAnsweringTask,
    maskedTextModellingTask,
    chatTask,
    preferencesTask,
    multipleChoiceTask,
  ],
});
