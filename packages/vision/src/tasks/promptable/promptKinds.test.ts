/** @file Boxes and masks as prompts of graphs that were exported with them: the same answers as torch's. */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { float32, openModel, train } from '@onnx-lora/sdk';
import sharp from 'sharp';
import { describe, expect, onTestFinished, test } from 'vitest';
import { visionFamilies } from '../../families/index.ts';
import { promptableSegmentation } from './promptableSegmentation.ts';
import { promptFeeds } from './prompt.ts';
import { samPorts } from './samPorts.ts';
import { SamPredictor } from './samPredictor.ts';

const fixtures = fileURLToPath(new URL('../../../fixtures/sam-prompts', import.meta.url));
const golden = JSON.parse(readFileSync(path.join(fixtures, 'goldens.json'), 'utf8')) as Record<string, number[]>;
const open = (kind: string) => openModel(path.join(fixtures, kind), { families: visionFamilies });

describe.each([
  ['boxes', { box: [8, 10, 50, 44] }],
  ['masks', { mask: Float32Array.from(golden['masks']!) }],
] as const)('a SAM that takes %s', (kind, more) => {
  test('answers as in torch', async () => {
    const model = await open(kind);
    const ports = samPorts(model);
    const points = [
      [20, 31],
      [40, 12],
    ] as const;
    const session = await model.session({ provider: 'cpu' });
    try {
      const outputs = await session.run({
        [ports.pixels]: float32(golden['pixels']!, [1, 3, 64, 64]),
        ...promptFeeds([[{ points, labels: [1, 0], ...more }]], ports, kind),
      });
      const worst = (name: string, expected: readonly number[]): number =>
        Math.max(...expected.map((value, i) => Math.abs(value - Number(outputs[name]!.data[i]))));
      expect(outputs[ports.masks]!.data.length).toBe(golden[`${kind}.masks`]!.length);
      const scale = Math.max(...golden[`${kind}.masks`]!.map(Math.abs));
      expect(worst(ports.masks, golden[`${kind}.masks`]!)).toBeLessThan(1e-4 * scale);
      expect(worst(ports.scores, golden[`${kind}.scores`]!)).toBeLessThan(1e-4 * scale);
    } finally {
      await session.release();
    }
  });

  test('wants them with every prompt', async () => {
    const model = await open(kind);
    const prompt = { points: [[20, 31]], labels: [1] } as const;
    expect(() => promptFeeds([[prompt]], samPorts(model), kind)).toThrow(`was exported with ${kind}`);
  });
});

/** A disc, its mask, and where it lies. */
async function disc(): Promise<{ readonly file: string; readonly mask: string }> {
  const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-prompts-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const [file, mask] = ['image.png', 'mask.png'].map((name) => path.join(folder, name)) as [string, string];
  const draw = (ground: string, fill: string, to: string) =>
    sharp(
      Buffer.from(
        `<svg xmlns="http://www.w3.org/2000/svg" width="64" height="48"><rect width="64" height="48" fill="${ground}"/><circle cx="30" cy="24" r="14" fill="${fill}"/></svg>`,
      ),
    ).toFile(to);
  await Promise.all([draw('#9ab', '#c33', file), draw('#000', '#fff', mask)]);
  return { file, mask };
}

test('boxes are made from masks, and trained with', async () => {
  const model = await open('boxes');
  const record = { ...(await disc()), place: 'here' };
  const task = promptableSegmentation([record], {
    prompts: { points: 1, negativePoints: 1, box: true },
    loss: { bce: 1 },
  });
  const run = await train(model, {
    task,
    lora: { r: 4, targetModules: ['q_proj', 'v_proj', 'lin1', 'lin2'] },
    steps: 30,
    batchSize: 1,
    lr: 1e-2,
    provider: 'cpu',
  });
  const losses: number[] = [];
  for await (const event of run) if (event.type === 'step') losses.push(event.loss);
  expect(losses.at(-1)).toBeLessThan(0.8 * losses[0]!);
});

test('a mask that was found is shown again', async () => {
  const predictor = await SamPredictor.create(await open('masks'));
  try {
    const image = await predictor.setImage((await disc()).file);
    const points = [
      [30, 24],
      [4, 4],
    ] as const;
    const ask = (mask: Float32Array) => image.predict({ points, labels: [1, 0], mask });
    const first = await ask(new Float32Array(32 * 32));
    const again = await ask(first.logits[first.best]!.data);
    expect(again.masks[again.best]).toMatchObject({ width: 64, height: 48 });
    // Other prompts give other answers.
    expect([...again.logits[0]!.data]).not.toEqual([...first.logits[0]!.data]);
    await expect(image.predict({ points, labels: [1, 0], mask: new Float32Array(7) })).rejects.toThrow('a square');
  } finally {
    await predictor.release();
  }
});
