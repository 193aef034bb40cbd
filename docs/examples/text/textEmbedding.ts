/** @file The task of the example: embeddings in which texts that mean the same are near each other. */

import { float32, int64, OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import { crossEntropy, type GraphBuilder, meanSquaredError, type Predictor, type PreparedTask, type RunnableModel, type Task, type TaskModel, type Value } from '@onnx-lora/sdk/tasks'; // prettier-ignore
import { checkFraction, recordsBySplit, splitRecords, withTestForValidation } from '@onnx-lora/sdk/data';
import { type PredictorOptions, settingsOf, type SettingTable, type TaskFactory, type TaskOptions } from '@onnx-lora/sdk/plugin'; // prettier-ignore
import { textPredictor } from './predictor.ts';
import { PairMetrics } from './pairMetrics.ts';
import { readPairs, type TextPair } from './pairs.ts';
import { pooledTensor, pooledValue } from './pooling.ts';
import { statesOf } from './states.ts';
import { TextTokenizer } from './tokenizer.ts';

/** Token ids of the texts of a pair. */
export interface TextExample {
  readonly rows: readonly (readonly number[])[];
  readonly score?: number | undefined;
}

/** How pairs are used. */
export interface TextEmbeddingOptions {
  /** Other pairs to measure on, or the part of the data that is held out where it has no split of its own. */
  readonly validation?: string | number | undefined;
  /** Seeds what is held out; 0 by default. */
  readonly seed?: number | undefined;
  /** Divisor of the cosines; 0.05 by default. */
  readonly temperature?: number | undefined;
}

/**
 * Embeddings of texts. Pairs of what means the same are learned with the other partners of the batch, and all negatives, as
 * wrong answers (InfoNCE); with scores, cosines become the scores.
 *
 * @param file a table with `text`, `positive` and, as it has them, `negative` or `score`, and `split`
 * @see https://arxiv.org/abs/1705.00652, section 4.4, and https://arxiv.org/abs/1908.10084
 */
export function textEmbedding(file: string, options: TextEmbeddingOptions = {}): Task<TextExample> {
  return { name: 'paraphrase-embedding', prepare: (model) => prepare(file, options, model) };
}

async function prepare(
  file: string,
  options: TextEmbeddingOptions,
  model: TaskModel,
): Promise<PreparedTask<TextExample>> {
  const { temperature = 0.05 } = options;
  if (!(temperature > 0))
    throw new OnnxLoraError('CONFIG_INVALID', `temperature is ${temperature}. Give a number above 0, such as 0.05.`);
  const output = statesOf(model);
  const tokenizer = await TextTokenizer.open(model);
  const { train, held } = await divided(file, options);
  const dataset = (pairs: readonly TextPair[]): PreparedTask<TextExample>['train'] => ({
    length: pairs.length,
    get: (i) => {
      const { texts, score } = pairs[i]!;
      return Promise.resolve({ rows: texts.map((text) => tokenizer.ids(text)), score });
    },
    nameOf: (i) => pairs[i]!.place,
  });
  const isScored = train[0]!.score !== undefined;
  return {
    train: dataset(train),
    ...(held && { validation: dataset(held) }),
    notes: [held ? `held out: ${held.length} of ${held.length + train.length} pairs` : 'held out: nothing'],
    collate: (examples) => {
      // All texts, then all partners, then all negatives.
      const kinds = examples[0]!.rows.length;
      const rows = Array.from({ length: kinds }, (_, kind) => examples.map((each) => each.rows[kind]!)).flat();
      const { inputs, mask } = tokenizer.feeds(rows);
      const [pairs, order] = [[examples.length], examples.map((_, i) => i)];
      const known = isScored
        ? {
            scores: float32(
              examples.map(({ score }) => score!),
              pairs,
            ),
          }
        : { partners: int64(order, pairs) };
      return Promise.resolve({ inputs, targets: { mask, ...known } });
    },
    loss: (g, outputs, { mask, scores, partners }) => {
      const [pairs] = (scores ?? partners)!.shape as [number];
      const [texts, others] = parts(g, pooledValue(g, outputs[output]!, mask!), pairs);
      if (scores) return meanSquaredError(g, g.ReduceSum(g.Mul(texts, others), [1], false), scores);
      return crossEntropy(g, g.Mul(g.MatMul(texts, g.Transpose(others, [1, 0])), 1 / temperature), partners!);
    },
    // Pairs with scores stand for themselves; the others are compared with all of their batch, which may not be divided.
    ...(isScored && { lossWeight: ({ scores }) => scores!.data.length }),
    metrics: () =>
      new PairMetrics((outputs, { mask, scores, partners }) => {
        const { data, dims } = pooledTensor(outputs[output]!, mask!);
        const [pairs, width] = [(scores ?? partners)!.data.length, dims[1]!];
        const rowsFrom = (at: number): Tensor =>
          float32((data as Float32Array).slice(at * width, (at + pairs) * width), [pairs, width]);
        return { texts: rowsFrom(0), partners: rowsFrom(pairs) };
      }),
  };
}

/** The first so many rows, and those after them. */
function parts(g: GraphBuilder, embeddings: Value, pairs: number): [texts: Value, others: Value] {
  const rows = Number(embeddings.shape![0]);
  return [g.Slice(embeddings, [0], [pairs], [0]), g.Slice(embeddings, [pairs], [rows], [0])];
}

async function divided(
  file: string,
  { validation, seed = 0 }: TextEmbeddingOptions,
): Promise<{ readonly train: readonly TextPair[]; readonly held?: readonly TextPair[] | undefined }> {
  checkFraction(validation);
  const pairs = await readPairs(file);
  if (typeof validation === 'string') return { train: pairs, held: await readPairs(validation) };
  const { train, validation: held } = withTestForValidation(recordsBySplit(pairs));
  if (held || validation === undefined) return requireSome(file, { train, held });
  // Pairs that share a text are never divided.
  const split = splitRecords(pairs, validation, seed, ({ texts }) => ({ key: texts.join('\n'), group: texts[0]! }));
  return requireSome(file, { train: split.kept, ...(split.held.length > 0 && { held: split.held }) });
}

function requireSome<Data extends { readonly train: readonly TextPair[] }>(file: string, data: Data): Data {
  if (data.train.length > 1) return data;
  throw new OnnxLoraError(
    'DATA_INVALID',
    `"${file}" leaves ${data.train.length} pairs to train on. Give two at least.`,
  );
}

/** Makes the task for the command line, and embeds lines of text files. */
export class TextEmbeddingFactory implements TaskFactory {
  readonly name = 'paraphrase-embedding';
  readonly input = { endings: ['.txt'], streams: true, records: true } as const;
  readonly description =
    'Vectors of texts; the data is a table of pairs: text, positive and perhaps negative or score.';
  readonly defaults = { batchSize: 32 };
  readonly settings: SettingTable<TextEmbeddingOptions> = settingsOf({
    temperature: { kind: 'number', above: 0, description: 'what cosines are divided by (0.05)' },
  });

  create({ data, validation, holdOut, seed, settings }: TaskOptions): Task {
    return textEmbedding(data, { ...this.settings.read(settings), validation: validation ?? holdOut, seed }) as Task;
  }

  predictor(model: RunnableModel, options: PredictorOptions = {}): Promise<Predictor> {
    return textPredictor(model, options);
  }
}
