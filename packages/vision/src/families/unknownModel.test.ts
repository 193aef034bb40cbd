/** @file A vision transformer that no family knows is trained all the same: all linear layers, and a task by hand. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { merge, openModel, previewLora, train } from '@onnx-lora/sdk';
import { type ModelProto, writeOnnx } from '@onnx-lora/sdk/plugin';
import sharp from 'sharp';
import { expect, test } from 'vitest';
import { vitModel } from '../../../../test/fixtures/vit.ts';
import { dataFolder } from '../../fixtures/dataFolder.ts';
import { imageClassification } from '../tasks/classification/imageTasks.ts';
import { visionFamilies } from './index.ts';
import { vit } from './vit.ts';

const side = 16;

/** The same network under names that nobody has heard of. */
function renamed({ graph, ...rest }: ModelProto): ModelProto {
  const words: Readonly<Record<string, string>> = {
    vit: 'net', encoder: 'trunk', layer: 'units', attention: 'mixing', query: 'asks', key: 'offers', value: 'gives',
    intermediate: 'wide', output: 'narrow', embeddings: 'eyes', patch_embeddings: 'tiles', projection: 'look',
  }; // prettier-ignore
  const to = (name: string): string => name.replaceAll(/[a-z_]+/g, (word) => words[word] ?? word);
  return {
    ...rest,
    graph: {
      ...graph,
      node: graph!.node!.map((node) => ({
        ...node,
        name: to(node.name ?? ''),
        input: node.input!.map(to),
        output: node.output!.map(to),
      })),
      initializer: graph!.initializer!.map((tensor) => ({ ...tensor, name: to(tensor.name ?? '') })),
    },
  };
}

test('a model that no family knows learns with all-linear', async () => {
  const folder = dataFolder({
    'preprocessor_config.json': JSON.stringify({
      image_processor_type: 'ViTImageProcessor',
      size: { height: side, width: side },
    }),
    'dark/.keep': '',
    'bright/.keep': '',
  });
  const file = join(folder, 'model.onnx');
  writeOnnx(file, renamed(vitModel({ hidden: 16, layers: 2, heads: 2, image: side, patch: 8, classes: 2 })));
  for (let i = 0; i < 8; i++) {
    for (const [label, base] of [
      ['dark', 20],
      ['bright', 180],
    ] as const) {
      const pixels = Uint8Array.from({ length: side * side * 3 }, (_, at) => base + ((at * 7 + i * 31) % 50));
      const raw = { width: side, height: side, channels: 3 } as const;
      writeFileSync(join(folder, label, `${i}.png`), await sharp(pixels, { raw }).png().toBuffer());
    }
  }

  const model = await openModel(file, { families: visionFamilies });
  expect(model.family).toBeUndefined();
  expect(() => previewLora(model, { r: 2 })).toThrow('No family knows the layers of');
  const mistaken = await openModel(file, { families: [{ ...vit, matches: () => true }] });
  expect(() => previewLora(mistaken, { r: 2 })).toThrow('The modules that are usually adapted in vit are not in');
  const data = ['dark', 'bright'].flatMap((label) =>
    Array.from({ length: 8 }, (_, i) => {
      const place = join(folder, label, `${i}.png`);
      return { file: place, place, label };
    }),
  );
  const task = imageClassification(data);
  const lora = { r: 2, targetModules: 'all-linear', modulesToSave: ['classifier'] };
  const losses: number[] = [];
  const run = await train(model, { task, lora, steps: 25, batchSize: 8, lr: 2e-2, threads: 1 });
  for await (const event of run) if (event.type === 'step') losses.push(event.loss);
  const { adapter } = await run.done;
  expect(losses.at(-1)!).toBeLessThan(0.2 * losses[0]!);
  expect(adapter.config.targetModules).toContain('net.trunk.units.1.mixing.mixing.asks');
  expect(adapter.config.targetModules).toContain('net.trunk.units.0.wide.dense');

  const merged = join(folder, 'merged.onnx');
  await merge(model, adapter, merged);
  const pixel_values = { type: 'float32', dims: [1, 3, side, side], data: new Float32Array(3 * side ** 2) } as const;
  const [unmerged, plain] = [
    await model.session({ adapters: { a: adapter }, threads: 1 }),
    await (await openModel(merged)).session({ threads: 1 }),
  ];
  const [a, b] = [await unmerged.run({ pixel_values }, { adapter: 'a' }), await plain.run({ pixel_values })];
  [...(b['logits']!.data as Float32Array)].forEach((logit, i) =>
    expect(logit).toBeCloseTo(Number(a['logits']!.data[i]), 4),
  );
  await Promise.all([unmerged.release(), plain.release()]);
});
