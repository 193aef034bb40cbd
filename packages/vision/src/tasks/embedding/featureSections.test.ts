import { renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Model, modelForAdapter, openModel, train } from '@onnx-lora/sdk';
import type { PreparedTask, ReportSection } from '@onnx-lora/sdk/tasks';
import { expect, test } from 'vitest';
import { readDigits, writeDigits } from '../../../../../docs/examples/support/digits.ts';
import { dataFolder } from '../../../fixtures/dataFolder.ts';
import { readImageData } from '../../data/readImageData.ts';
import { imageClassification } from '../classification/imageTasks.ts';
import { frozenBaselines } from './baselines/frozenBaselines.ts';
import { imageEmbeddings } from './imageEmbedder.ts';

const vit = fileURLToPath(new URL('../../../../../docs/examples/models/vit-mnist', import.meta.url));

async function digitsIn(count: number): Promise<string> {
  const folder = dataFolder({});
  const digits = await readDigits();
  await writeDigits(join(folder, 'train'), digits.slice(8000, 8000 + count), 'upright');
  await writeDigits(join(folder, 'validation'), digits.slice(9000, 9000 + count / 2), 'upright');
  return folder;
}

async function sectionsOf(model: Model, prepared: PreparedTask, adapter?: Parameters<typeof modelForAdapter>[1]) {
  const own = adapter ? modelForAdapter<Model>(model, adapter) : model;
  const session = await own
    .withOutputs(prepared.outputs ?? [])
    .session({ worker: false, ...(adapter ? { adapters: { adapter } } : {}) });
  try {
    return await prepared.report!({
      run: (inputs, which) => session.run(inputs, { adapter: which === 'adapted' && adapter ? 'adapter' : null }),
      batchSize: 16,
      model: own,
      adapter: adapter!,
      options: {},
    });
  } finally {
    await session.release();
  }
}

const titles = (sections: readonly ReportSection[]): string[] => sections.map(({ title }) => title);

test('a classifier is shown beside baselines on its frozen features', async () => {
  const model = await openModel(vit);
  const folder = await digitsIn(80);
  const prepared = await imageClassification(folder, { baselines: true }).prepare(model);
  const sections = await sectionsOf(model, prepared as PreparedTask);
  const scatters = ['Embeddings before training', 'Embeddings after training'];
  expect(titles(sections)).toEqual(expect.arrayContaining(['Beside frozen features', ...scatters]));
  const table = sections.find(({ title }) => title === 'Beside frozen features');
  const rows = table?.kind === 'table' ? table.rows : [];

  const { train: training, validation = [] } = await readImageData(folder);
  const embedded = async (records: typeof training) => ({
    embeddings: await imageEmbeddings(model, records.map(({ file }) => file), { normalize: false }), // prettier-ignore
    labels: records.map(({ label }) => label!),
  });
  const alone = frozenBaselines({ train: await embedded(training), validation: await embedded(validation) });
  expect(rows.slice(0, 2)).toEqual([
    ['k nearest neighbours', alone.knn.accuracy, `k = ${alone.knn.k}`],
    ['linear probe', alone.linearProbe.accuracy, `C = ${alone.linearProbe.C}`],
  ]);
  expect(rows[2]![0]).toBe('adapter');
  expect(rows[2]![1]).toBeGreaterThan(0.8);

  const plain = await imageClassification(folder).prepare(model);
  const shown = titles(await sectionsOf(model, plain as PreparedTask));
  expect(shown).toEqual(expect.arrayContaining(scatters));
  expect(shown).not.toContain('Beside frozen features');
});

test('features are shown of a model with a new head too', async () => {
  const model = await openModel(vit);
  const folder = await digitsIn(60);
  for (const split of ['train', 'validation']) {
    for (let digit = 0; digit < 10; digit++) {
      const own = join(folder, split, String(digit));
      if (digit < 3) renameSync(own, join(folder, split, ['none', 'one', 'two'][digit]!));
      else rmSync(own, { recursive: true });
    }
  }
  const task = imageClassification(folder, { baselines: true });
  const prepared = await task.prepare(model);
  expect(prepared.head?.labels).toEqual(['none', 'one', 'two']);
  const run = await train(model, {
    task,
    lora: { r: 2, targetModules: 'all-linear' },
    steps: 2,
    batchSize: 8,
    threads: 1,
  });
  const { adapter } = await run.done;
  const sections = await sectionsOf(model, prepared as PreparedTask, adapter);
  expect(titles(sections)).toEqual(expect.arrayContaining(['Beside frozen features', 'Embeddings after training']));
  const scatter = sections.find(({ title }) => title === 'Embeddings after training');
  const series = scatter?.kind === 'scatter' ? scatter.series : [];
  expect(series.map(({ name }) => name)).toEqual(['none', 'one', 'two']);
});
