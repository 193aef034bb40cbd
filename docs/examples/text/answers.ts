/** @file Embeddings of texts that nobody has paired: in a program, and of the lines of text files. */

import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { type AnswererOptions, joinRows, OnnxLoraError, type RecordAnswer, type RecordAnswerer, type RecordWriter, type RunnableModel, saveEmbeddings, type Tensor } from '@onnx-lora/sdk'; // prettier-ignore
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
  { adapter, load }: Pick<AnswererOptions, 'adapter' | 'load'> = {},
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
export async function textAnswerer(model: RunnableModel, options: AnswererOptions): Promise<RecordAnswerer> {
  const embedder = await textEmbedder(model, options);
  return {
    fileEndings: ['.txt'],
    answers: (source, { skip = 0, batchSize = 32, signal } = {}) => answers(embedder, source, { skip, batchSize, signal }), // prettier-ignore
    writer: (path) => (path.endsWith('.safetensors') ? new VectorWriter(path) : undefined),
    writerEndings: ['.safetensors'],
    release: () => embedder.release(),
  };
}

async function* answers(
  embedder: TextEmbedder,
  source: string | AsyncIterable<Uint8Array>,
  { skip, batchSize, signal }: { skip: number; batchSize: number; signal: AbortSignal | undefined },
): AsyncGenerator<RecordAnswer> {
  const total = typeof source === 'string' ? await sizeOf(source) : undefined;
  const input = typeof source === 'string' ? createReadStream(source) : Readable.from(source);
  let [batch, seen, read]: [string[], number, number] = [[], 0, 0];
  const ask = async function* (): AsyncGenerator<RecordAnswer> {
    if (batch.length === 0 || signal?.aborted) return;
    const { data, dims } = await embedder.embed(batch);
    const width = dims[1]!;
    for (const [i, text] of batch.entries())
      yield {
        prediction: { text, embedding: data.slice(i * width, (i + 1) * width) },
        read,
        ...(total !== undefined && { total }),
      };
    batch = [];
  };
  for await (const line of createInterface({ input, crlfDelay: Infinity })) {
    if (signal?.aborted) return;
    read += Buffer.byteLength(line) + 1;
    if (line.trim() === '' || seen++ < skip) continue;
    batch.push(line.trim());
    if (batch.length === batchSize) yield* ask();
  }
  yield* ask();
}

async function sizeOf(file: string): Promise<number> {
  try {
    return (await stat(file)).size;
  } catch (cause) {
    throw new OnnxLoraError('FILE_NOT_FOUND', `There is no file "${file}". Check the path.`, { cause });
  }
}

/** Keeps embeddings until all are there. */
class VectorWriter implements RecordWriter {
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
