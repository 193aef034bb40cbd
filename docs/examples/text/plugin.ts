/** @file Embeddings of texts as a plugin. It uses nothing but what `@onnx-lora/sdk` exports, and a tokenizer. */

import { definePlugin, type Plugin } from '@onnx-lora/sdk/plugin';
import { textEncoder } from './family.ts';
import { TextEmbeddingFactory } from './textEmbedding.ts';

/** BERT and MiniLM, and the task `paraphrase-embedding`. */
export const textPlugin: Plugin = definePlugin({
  name: 'onnx-lora-paraphrases',
  version: '1.0.0',
  description: 'Embeddings of texts, learned from pairs.',
  families: [textEncoder],
  tasks: [new TextEmbeddingFactory()],
});
