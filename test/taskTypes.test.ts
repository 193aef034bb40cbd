/** @file Metrics and predictions are typed by their task, and all that holds a session can be disposed of by its block. */

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
import {
  type AdapterSession,
  type BoundFeeds,
  evaluate,
  float32,
  type Model,
  openModel,
  openPredictor,
  type TaskPredictor,
  train,
} from '@onnx-lora/sdk';
import type { Prediction } from '@onnx-lora/sdk/tasks';
import type { ThreadPool, ThreadedDataset } from '@onnx-lora/sdk/data';
import type { TensorBoardWriter } from '@onnx-lora/sdk/plugin';
import { linearNet, publishModel } from '@onnx-lora/testing';
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

/** Never called: what the compiler says of it is the test. */
async function predictionsOf(model: Model, name: string) {
  const said = async <Said>(predictor: TaskPredictor<Said>): Promise<Said> => {
    for await (const { prediction } of predictor.predict('x')) return prediction;
    throw new Error('There is no answer.');
  };
  return {
    image: (await said(await openPredictor(model, { task: 'image-classification' }))).score,
    labels: (await said(await openPredictor(model, { task: 'multi-label-classification' }))).scores['cat'],
    share: (await said(await openPredictor(model, { task: 'semantic-segmentation' }))).classes[0]!.share,
    sound: (await said(await openPredictor(model, { task: 'audio-classification' }))).score,
    words: (await said(await openPredictor(model, { task: 'speech-recognition' }))).text,
    sequence: (await said(await openPredictor(model, { task: 'sequence-classification' }))).label,
    unknown: await said(await openPredictor(model, { task: name })),
    unnamed: await said(await openPredictor(model)),
  };
}

test('predictions are typed by the name of the task', () => {
  type Found = Awaited<ReturnType<typeof predictionsOf>>;
  expectTypeOf<Pick<Found, 'image' | 'share' | 'sound'>>().toExtend<Record<string, number>>();
  expectTypeOf<Found['labels']>().toEqualTypeOf<number | undefined>();
  expectTypeOf<Pick<Found, 'words' | 'sequence'>>().toExtend<Record<string, string>>();
  expectTypeOf<Found['unknown']>().toEqualTypeOf<Prediction>();
  expectTypeOf<Found['unnamed']>().toEqualTypeOf<Prediction>();
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
