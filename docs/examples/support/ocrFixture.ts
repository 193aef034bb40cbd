/** @file Stands in for a recogniser of text where none is at hand: the same inputs and outputs, and nothing that it can read. */

import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { writeOnnx } from '@onnx-lora/sdk/plugin';
import { ModelBuilder } from '@onnx-lora/testing';
import { HEIGHT } from './ocrLines.ts';

const characters = [...'0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.,:;?!\'"()-'];

/** Writes a small recogniser with random weights, and its alphabet, a character to a line. */
export function writeOcrFixture(folder: string): { readonly model: string; readonly alphabet: string } {
  const classes = characters.length + 2;
  const builder = new ModelBuilder();
  const { g } = builder;
  const x = { name: 'x', type: 'float32' as const, shape: ['batch', 3, HEIGHT, 'width'] };
  const patches = g.emit('Conv', [x, builder.weight('patches', [16, 3, 8, 8], 0.1)], { strides: [8, 8] });
  const columns = g.emit('Conv', [g.Relu(patches), builder.weight('columns', [32, 16, 6, 3], 0.1)], {
    pads: [0, 1, 0, 1],
  });
  const frames = g.Transpose(g.Squeeze(g.Relu(columns), [2]), [0, 2, 1]);
  const scores = g.Add(g.MatMul(frames, builder.weight('head', [32, classes])), builder.weight('bias', [classes], 0.1));
  const probabilities = g.Softmax(scores, 2);
  mkdirSync(folder, { recursive: true });
  const files = { model: path.join(folder, 'recogniser.onnx'), alphabet: path.join(folder, 'alphabet.txt') };
  writeOnnx(files.model, builder.model([x], [{ ...probabilities, shape: ['batch', 'frames', classes] }]));
  writeFileSync(files.alphabet, characters.join('\n'));
  return files;
}
