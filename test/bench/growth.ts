/** @file Start of models with ever more layers, as a table. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type GrowthFigures, writeDecoder } from './growthTimes.ts';
import { runChild } from './spawn.ts';

const LAYERS = [24, 48, 96, 192];

/** Measures decoders in LLaMA's form that are so narrow that their computation takes no time. */
export async function measureGrowth(program: string, print: (line: string) => void): Promise<void> {
  const folder = await mkdtemp(path.join(tmpdir(), 'onnx-lora-growth-'));
  print('| layers | open, s | session, s | first step, s | merge, s |');
  print('| -----: | ------: | ---------: | ------------: | -------: |');
  try {
    for (const layers of LAYERS) {
      const model = path.join(folder, String(layers));
      await writeDecoder(model, layers);
      const found = (await runChild(program, { grow: model })) as GrowthFigures;
      const cells = [found.open, found.session, found.step, found.merge].map((each) => each.toFixed(2));
      print(`| ${[String(layers), ...cells].join(' | ')} |`);
    }
  } finally {
    await rm(folder, { recursive: true });
  }
}
