/** @file Embeddings of texts that nobody has paired: in a program, and of the lines of text files. */

import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { OnnxLoraError, type Tensor, type TensorData } from '@onnx-lora/sdk';
import { type AnswerWriter, joinRows, type Predictor, recordPredictor, type RunnableModel, saveEmbeddings, type Source, type SourceRecord } from '@onnx-lora/sdk/tasks'; // prettier-ignore
import type { PredictorOptions } from '@onnx-lora/sdk/plugin';
import { pooledTensor } from './pooling.ts';
import { statesOf } from './states.ts';
import { TextTokenizer } from './tokenizer.ts';

/** Makes embeddings of texts. */
export interface TextEmbedder {
  /** Rows of length 1, `[texts, width]`: the product of two is their cosine. */
  embed(texts: readonly string[]): Promise<Tensor>;
  /** Frees the model. */
  release(): Promise<void>;
}

/**
 * Loads a model for embeddings, with an adapter where one is given.
 *
 * @throws OnnxLoraError as `TextTokenizer.open` and `model.session`
 */
export async function textEmbedder(
  model: RunnableModel,
  { adapter, load }: Pick<PredictorOptions, 'adapter' | 'load'> = {},
): Promise<TextEmbedder> {
  const output = statesOf(model);
  const tokenizer = await TextTokenizer.open(model);
  const session = await model.session({ ...load, ...(adapter && { adapters: { adapter } }) });
  return {
    embed: async (texts) => {
      const { inputs, mask } = tokenizer.feeds(texts.map((text) => tokenizer.ids(text)));
      const outputs = await session.run(inputs, { adapter: adapter ? 'adapter' : null });
      return pooledTensor(outputs[output]!, mask);
    },
    release: () => session.release(),
  };
}

/** Answers `{ text, embedding }` for each line that is not empty; writes .safetensors files too. */
export async function textPredictor(model: RunnableModel, options: PredictorOptions): Promise<Predictor> {
  const output = statesOf(model);
  const tokenizer = await TextTokenizer.open(model);
  const predictor = await recordPredictor<string, readonly number[], TensorData>(
    model,
    {
      records: lines,
      rows: (text) => [tokenizer.ids(text)],
      feeds: (rows) => tokenizer.feeds(rows).inputs,
      // What is padding is in the feeds alone.
      decode: (outputs, feeds) => {
        const { data, dims } = pooledTensor(outputs[output]!, feeds['attention_mask']!);
        const [rows, width] = dims as [number, number];
        return Array.from({ length: rows }, (_, row) => data.slice(row * width, (row + 1) * width));
      },
      answers: (text, [row]) => [{ text, embedding: row!.found }],
    },
    options,
  );
  return {
    ...predictor,
    writer: (path) => (path.endsWith('.safetensors') ? new VectorWriter(path) : undefined),
    writerEndings: ['.safetensors'],
  };
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

/** Keeps embeddings until all are there. */
class VectorWriter implements AnswerWriter {
  readonly #path: string;
  readonly #texts: string[] = [];
  readonly #rows: Tensor[] = [];

  constructor(path: string) {
    this.#path = path;
  }

  write({ text, embedding }: Readonly<Record<string, unknown>>): Promise<void> {
    const data = embedding as Float32Array;
    this.#texts.push(text as string);
    this.#rows.push({ type: 'float32', dims: [1, data.length], data });
    return Promise.resolve();
  }

  finish(): Promise<void> {
    return saveEmbeddings(this.#path, this.#texts, joinRows(this.#rows));
  }

  abort(): Promise<void> {
    return Promise.resolve();
  }
}
