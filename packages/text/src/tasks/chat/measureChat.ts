/** @file Measures a language model: the likelihood of held-out answers, and scores of generated ones. */

import { type Batch, bootstrapDraws, evenlySpaced, type Measurement, type MeasureRequest } from '@onnx-lora/sdk/tasks';
import { likeliestByDefault } from '../../generation/generateOptions.ts';
import { openGenerator } from '../../generation/openGenerator.ts';
import { type TextScores, textScores } from '../../metrics/textScores.ts';
import type { ChatMetrics } from './chatMetrics.ts';
import { runBatches } from './runBatches.ts';
import type { SftDataset, SftExample } from './sftRows.ts';
import type { AnswererOptions } from './answerPredictor.ts';
import { promptWithReference, type PromptRules } from './promptWithReference.ts';

/** Data and metrics of a measurement. */
export interface ChatMeasurement {
  readonly dataset: SftDataset;
  readonly collate: (examples: readonly SftExample[]) => Promise<Batch>;
  /** Metrics without batches so far. */
  readonly metrics: ChatMetrics;
  readonly size: number;
}

/** Measures a model, alone or with an adapter. */
export async function measureChat(
  { dataset, collate, metrics, size }: ChatMeasurement,
  { adapter, limit, examples: some, ...request }: MeasureRequest,
): Promise<{ readonly metrics: ChatMetrics; readonly examples: number }> {
  const asked = (some ?? evenlySpaced(dataset.length)).slice(0, limit);
  const lengths = asked.map((example) => dataset.lengths[example]!);
  const batch = async (places: readonly number[]): Promise<Batch> =>
    collate(await Promise.all(places.map((place) => dataset.get(asked[place]!))));
  for await (const { outputs, targets } of runBatches({ ...request, lengths, batch, size, adapters: [adapter] }))
    metrics.update(outputs[0]!, targets);
  return { metrics, examples: asked.length };
}

export interface AnswerMeasurement {
  readonly rules: PromptRules & { readonly most: number };
  /** Number of prompts to answer, 0 for none. */
  readonly answers: number;
  readonly generate?: AnswererOptions['generate'];
  /** Seed of the bootstrap. */
  readonly seed?: number | undefined;
}

/** Default of `maxNewTokens`. */
const TOKENS = 64;
/** Maximum texts per batch: all of them wait for the longest. */
const TOGETHER = 16;

/**
 * Mean scores of generated answers to prompts spread over the requested examples, without those that leave no room for
 * an answer. Empty if `answers` is 0.
 * @throws OnnxLoraError as `openGenerator`
 */
export async function measureAnswers(
  dataset: SftDataset,
  { rules, answers, generate }: AnswerMeasurement,
  { model, adapter, options, batchSize, examples, limit, onBatch }: MeasureRequest,
): Promise<Pick<Measurement, 'metrics' | 'draws'>> {
  if (answers === 0) return { metrics: {} };
  const asked = (examples ?? evenlySpaced(dataset.length)).slice(0, limit);
  const records = [...new Set(asked.map((example) => dataset.recordAt(example)!))];
  const { maxNewTokens = TOKENS } = generate ?? {};
  const prompts = records.flatMap((record) => {
    const prompt = promptWithReference(record, rules);
    const isAnswered = prompt?.wanted !== undefined && prompt.ids.length + maxNewTokens <= rules.most;
    return isAnswered ? [{ ids: prompt.ids, wanted: prompt.wanted }] : [];
  });
  const chosen = evenlySpaced(prompts.length, answers).map((i) => prompts[i]!);
  const written = likeliestByDefault({ ...generate, maxNewTokens });
  const scores: TextScores[] = [];
  await using generator = await openGenerator(model, { ...options, ...(adapter && { adapter }), tokenizer: rules.tokenizer }); // prettier-ignore
  for (let from = 0; from < chosen.length; from += Math.min(batchSize, TOGETHER)) {
    const batch = chosen.slice(from, from + Math.min(batchSize, TOGETHER));
    const texts = await generator.complete(batch.map(({ ids }) => ({ prompt: ids })), written); // prettier-ignore
    for (const [i, { wanted }] of batch.entries()) scores.push(textScores(texts[i]!.text, wanted));
    onBatch?.(scores.length, chosen.length);
  }
  return {
    metrics: meansOf(scores),
    draws: bootstrapDraws((times) => meansOf(scores, times), scores.length),
  };
}

/** @param times weights of a bootstrap draw; 1 by default */
function meansOf(scores: readonly TextScores[], times?: ArrayLike<number>): Record<keyof TextScores, number> {
  const total = scores.reduce((sum, _, i) => sum + (times?.[i] ?? 1), 0);
  const mean = (name: keyof TextScores): number =>
    scores.reduce((sum, each, i) => sum + (times?.[i] ?? 1) * each[name], 0) / total;
  return { exactMatch: mean('exactMatch'), f1: mean('f1'), rougeL: mean('rougeL') };
}
