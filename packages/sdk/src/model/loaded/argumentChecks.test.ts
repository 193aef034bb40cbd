/** @file Tests that a mistake in an argument, as programs without types make it, is told by the function and the argument. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { linearNet, publishModel, randomAdapter } from '@onnx-lora/testing';
import { afterAll, expect, it } from 'vitest';
import * as sdk from '../../index.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-arguments-'));
afterAll(() => rmSync(folder, { recursive: true }));

const model = await sdk.openModel(await publishModel(path.join(folder, 'net'), { model: linearNet() }));
const adapter = await randomAdapter(model, { lora: { targetModules: 'all-linear' } });
const task = { name: 'none', prepare: () => Promise.reject(new Error('No mistake was told.')) };
const out = path.join(folder, 'out');
function photos(): typeof task {
  return task;
}

/** As a program without types may have it. */
const any = (value?: unknown): never => value as never;

it.each<[message: string, call: () => unknown]>([
  ['openModel needs a path, and got undefined.', () => sdk.openModel(any())],
  ['openModel needs a path, and got another object.', () => sdk.openModel([any(model)])],
  ['loadAdapter needs a path, and got undefined.', () => sdk.loadAdapter(any())],
  ['train needs a model, and got undefined.', () => sdk.train(any(), { task })],
  ['train needs a model, and got "models/vit".', () => sdk.train(any('models/vit'), { task })],
  ['train takes its options as an object, and got undefined.', () => sdk.train(model, any())],
  ["train needs a task, and got undefined. Pass { task: imageClassification('photos') }.", () => sdk.train(model, any({ steps: 1 }))],
  ["train needs a task, and got the function photos. Pass { task: photos('photos') }.", () => sdk.train(model, { task: any(photos) })],
  ['train needs a task, and got "chat".', () => sdk.train(model, { task: any('chat') })],
  ['evaluate needs a model, and got null.', () => sdk.evaluate(any(null), { task })],
  ['evaluate needs a task, and got another object.', () => sdk.evaluate(model, { task: any({}) })],
  ['evaluate needs an adapter, and got "runs/a".', () => sdk.evaluate(model, { task, adapter: any('runs/a') })],
  ['openPredictor needs a model, and got undefined.', () => sdk.openPredictor(any())],
  ['openPredictor needs an adapter, and got "runs/a".', () => sdk.openPredictor(model, { adapter: any('runs/a') })],
  ['merge needs a model, and got another object.', () => sdk.merge(any({}), adapter, out)],
  ['merge needs an adapter, and got undefined.', () => sdk.merge(model, any(), out)],
  ['merge needs an adapter, and got "runs/a".', () => sdk.merge(model, [any('runs/a')], out)],
  ['merge needs an adapter, and got null.', () => sdk.merge(model, [{ adapter: any(null), weight: 1 }], out)],
  ['merge needs a path, and got undefined.', () => sdk.merge(model, adapter, any())],
  ['unmerge needs a path, and got "".', () => sdk.unmerge(model, adapter, '')],
  ['quantize needs a path, and got undefined.', () => sdk.quantize(model, any(), { bits: 8 })],
  ['exportWithInputs needs an adapter, and got undefined.', () => sdk.exportWithInputs(model, any(), out)],
  ['exportForTriton needs an adapter, and got "a".', () => sdk.exportForTriton(model, { a: any('a') }, out)],
  ['previewLora needs a model, and got undefined.', () => sdk.previewLora(any())],
])('%s', async (message, call) => {
  const error: unknown = await (async () => call())().catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(sdk.OnnxLoraError);
  expect((error as Error).message).toContain(message);
}); // prettier-ignore
