/** @file Embeddings of texts that nobody has paired: in a program, and of the lines of text files. */

import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { OnnxLoraError } from '@onnx-lora/sdk';
import {
  type Embedder,
  embeddingEndings,
  embeddingWriter,
  openEmbedder,
  type Predictor,
  recordPredictor,
  type RecordProcessor,
  type RunnableModel,
  type RunnableOptions,
  type Source,
  type SourceRecord,
  vectorsOf,
} from '@onnx-lora/sdk/tasks';
import type { PredictorOptions } from '@onnx-lora/sdk/plugin';
import { pooledTensor } from './pooling.ts';
import { statesOf } from './states.ts';
import { TextTokenizer } from './tokenizer.ts';

type TextProcessor = RecordProcessor<string, readonly number[], Float32Array>;

/** Texts as rows of tokens, and outputs as embeddings: of length 1, so that the product of two is their cosine. */
async function textProcessor(model: RunnableModel): Promise<TextProcessor> {
  const output = statesOf(model);
  const tokenizer = await TextTokenizer.open(model);
  return {
    records: lines,
    rows: (text) => [tokenizer.ids(text)],
    feeds: (rows) => tokenizer.feeds(rows).inputs,
    // Only the feeds say which tokens are padding.
    decode: (outputs, feeds) => vectorsOf(pooledTensor(outputs[output]!, feeds['attention_mask']!)),
    answers: (text, [row]) => [{ id: text, embedding: row!.found }],
  };
}

/**
 * Loads a model, with its adapters by their names, to embed texts in a program.
 *
 * @throws OnnxLoraError as `TextTokenizer.open` and `model.session`
 */
export async function textEmbedder(model: RunnableModel, options: RunnableOptions = {}): Promise<Embedder<string>> {
  return openEmbedder(model, await textProcessor(model), { noun: 'texts', ...options });
}

/** Answers `{ id, embedding }` for each line that is not empty, whose text is its id; writes .npz and .safetensors files too. */
export async function textPredictor(model: RunnableModel, options: PredictorOptions): Promise<Predictor> {
  const predictor = await recordPredictor(model, await textProcessor(model), options);
  return { ...predictor, writer: (path) => embeddingWriter(path), writerEndings: embeddingEndings };
}

/** The texts of a file, and how much of it is read. */
async function* lines(source: Source): AsyncGenerator<SourceRecord<string>> {
  const total = typeof source === 'string' ? await sizeOf(source) : undefined;
  const input = typeof source === 'string' ? createReadStream(source) : Readable.from(source);
  let read = 0;
  for await (const line of createInterface({ input, crlfDelay: Infinity })) {
    read += Buffer.byteLength(line) + 1;
    if (line.trim() !== '') yield { item: line.trim(), read, total };
  }
}

async function sizeOf(file: string): Promise<number> {
  try {
    return (await stat(file)).size;
  } catch (cause) {
    throw new OnnxLoraError('FILE_NOT_FOUND', `There is no file "${file}". Check the path.`, { cause });
  }
}
