/** @file Metrics are typed by their task, and all that holds a session can be disposed of by its block. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import {
  maskedLanguageModelling,
  type openSequenceClassifier,
  sequenceClassification,
  sequenceRegression,
  variantEffect,
  type VariantScorer,
} from '@onnx-lora/science';
import type { SequenceEmbedder } from '@onnx-lora/sequences';
import { type AdapterSession, evaluate, float32, type BoundFeeds, type Model, openModel, train } from '@onnx-lora/sdk';
import type { ThreadPool, ThreadedDataset } from '@onnx-lora/sdk/data';
import type { TensorBoardWriter } from '@onnx-lora/sdk/plugin';
import { linearNet, publishModel } from '@onnx-lora/sdk/testing';
import { type AudioEmbedder, audioClassification, type Transcriber, speechRecognition } from '@onnx-lora/speech';
import {
  imageClassification,
  imageRegression,
  imageText,
  multiLabelClassification,
  type SamPredictor,
  semanticSegmentation,
} from '@onnx-lora/vision';
import { expect, expectTypeOf, onTestFinished, test } from 'vitest';

/** Never called: what the compiler says of it is the test. */
async function metricsOf(model: Model) {
  const ofImages = await (await train(model, { task: imageClassification('x') })).done;
  return {
    images: (await evaluate(model, { task: imageClassification('x') })).metrics.accuracy,
    trained: ofImages.metrics?.accuracy,
    other: (await evaluate(model, { task: imageClassification('x') })).metrics['top5'],
    labels: (await evaluate(model, { task: multiLabelClassification('x') })).metrics.mAP,
    numbers: (await evaluate(model, { task: imageRegression('x') })).metrics.rmse,
    masks: (await evaluate(model, { task: semanticSegmentation('x') })).metrics.meanIou,
    captions: (await evaluate(model, { task: imageText('x') })).metrics['imageToText@5'],
    words: (await evaluate(model, { task: speechRecognition('x') })).metrics.wer,
    sounds: (await evaluate(model, { task: audioClassification('x') })).metrics.macroF1,
    sequences: (await evaluate(model, { task: sequenceClassification('x') })).metrics.mcc,
    fitness: (await evaluate(model, { task: sequenceRegression('x') })).metrics.spearman,
    guesses: (await evaluate(model, { task: maskedLanguageModelling('x') })).metrics.perplexity,
    effects: (await evaluate(model, { task: variantEffect('x') })).metrics.spearman,
  };
}

test('metrics that a task always has are numbers to the compiler', () => {
  type Found = Awaited<ReturnType<typeof metricsOf>>;
  expectTypeOf<Omit<Found, 'trained' | 'other'>>().toExtend<Record<string, number>>();
  expectTypeOf<Found['trained']>().toEqualTypeOf<number | undefined>();
  expectTypeOf<Found['other']>().toEqualTypeOf<number | undefined>();
});

test('all that holds a session is disposable', () => {
  expectTypeOf<
    AdapterSession | ThreadPool<unknown, unknown> | ThreadedDataset<unknown> | Transcriber | AudioEmbedder
  >().toExtend<AsyncDisposable>();
  expectTypeOf<SequenceEmbedder | VariantScorer | SamPredictor>().toExtend<AsyncDisposable>();
  expectTypeOf<Awaited<ReturnType<typeof openSequenceClassifier>>>().toExtend<AsyncDisposable>();
  expectTypeOf<BoundFeeds | TensorBoardWriter>().toExtend<Disposable>();
});

test('a session is released where its block ends', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'dispose-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const model = await openModel(await publishModel(path.join(folder, 'model'), { model: linearNet() }));
  const [input, { dims }] = Object.entries(model.inputs)[0]!;
  const shape = dims!.map((dim) => (typeof dim === 'number' ? dim : 1));
  const feeds = { [input]: float32(new Float32Array(shape.reduce((a, b) => a * b, 1)), shape) };
  let kept: AdapterSession;
  {
    await using session = await model.session();
    expect(Object.keys(await session.run(feeds))).toEqual(session.outputNames);
    kept = session;
  }
  await expect(kept.run(feeds)).rejects.toThrow(/release/);
});
