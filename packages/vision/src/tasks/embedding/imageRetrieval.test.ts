import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { evaluate, openModel, train } from '@onnx-lora/sdk';
import { type ReportRequest, retrievalScores } from '@onnx-lora/sdk/tasks';
import { ExampleSet } from '@onnx-lora/sdk/data';
import { matrix } from '@onnx-lora/sdk/plugin';
import { describe, expect, test } from 'vitest';
import { imageRetrieval } from './imageRetrieval.ts';
import { readDigits, writeDigits } from '../../../../../docs/examples/support/digits.ts';
import { dataFolder } from '../../../fixtures/dataFolder.ts';
import { fixture } from '../../../fixtures/goldens.ts';

const golden = fixture<{
  embeddings: number[];
  labels: number[];
  queries: number[];
  asked: number[];
  eachOther: Record<string, number>;
  gallery: Record<string, number>;
}>('embedding/retrieval.json');

describe('retrievalScores are those of the definitions', () => {
  const all = { embeddings: matrix(40, 6, golden.embeddings), labels: golden.labels };
  const queries = { embeddings: matrix(12, 6, golden.queries), labels: golden.asked };

  test.each([
    ['each image among the others', retrievalScores(all), golden.eachOther],
    ['queries in a gallery', retrievalScores(queries, all), golden.gallery],
  ] as const)('%s', (_, found, expected) => {
    expect(Object.keys(found)).toEqual(Object.keys(expected));
    for (const [name, value] of Object.entries(expected)) expect(found[name], name).toBeCloseTo(value, 12);
  });
});

describe('imageRetrieval', () => {
  const vit = fileURLToPath(new URL('../../../../../docs/examples/models/vit-mnist', import.meta.url));

  test.each([['contrastive'], ['triplet'], ['info-nce']] as const)(
    'with the loss %s makes a model find digits that it had not learned to read',
    async (loss) => {
      const model = await openModel(vit);
      const folder = dataFolder({});
      const digits = await readDigits();
      await writeDigits(join(folder, 'train'), digits.slice(0, 200), 'turned');
      await writeDigits(join(folder, 'validation'), digits.slice(8000, 8100), 'turned');
      const task = imageRetrieval(folder, { loss });
      const before = await evaluate(model, { task });
      const run = await train(model, { task, lora: { r: 4, targetModules: 'all-linear' }, steps: 20, batchSize: 16, lr: 5e-3, threads: 1 });
      const { adapter } = await run.done;
      const after = await evaluate(model, { task, adapter });
      expect(after.metrics['queries']).toBe(100);
      expect(after.metrics['mapAtR']!).toBeGreaterThan(before.metrics['mapAtR']! + 0.05);
    },
  ); // prettier-ignore

  test('shows embeddings before and after in the report, and answers with them', async () => {
    const model = await openModel(vit);
    const folder = dataFolder({});
    await writeDigits(folder, (await readDigits()).slice(8000, 8060), 'upright');
    const prepared = await imageRetrieval(folder, { validation: 0.5 }).prepare(model);
    const session = await model.withOutputs(prepared.outputs!).session({ worker: false });
    const sections = await prepared.report!({
      run: (inputs) => session.run(inputs),
      batchSize: 16,
    } as Partial<ReportRequest> as ReportRequest);
    expect(sections.map(({ kind, title }) => [kind, title])).toEqual([
      ['scatter', 'Embeddings before training'],
      ['scatter', 'Embeddings after training'],
    ]);
    const [first] = sections as unknown as { series: { name: string; points: [number, number][] }[] }[];
    expect(first!.series.map(({ name }) => name)).toEqual(['0', '1', '2', '3', '4', '5', '6', '7', '8', '9']);
    expect(first!.series.flatMap(({ points }) => points)).toHaveLength(prepared.validation!.length);
    await session.release();
  });

  test('knows later which images it was trained on, also those that one pass leaves over', async () => {
    const model = await openModel(vit);
    const folder = dataFolder({});
    // Seven images per digit: in groups of two, one is left over in each pass.
    const digits = await readDigits();
    const some = Array.from({ length: 10 }, (_, label) => digits.filter((each) => each.label === label).slice(0, 7));
    await writeDigits(folder, some.flat(), 'upright');
    const halves = await imageRetrieval(folder, { validation: 0.3 }).prepare(model);
    const trained = (await ExampleSet.of(halves.train))!;
    expect(trained.size + halves.validation!.length).toBe(70);
    expect(await trained.among(halves.validation!)).toEqual(new Set());
    const whole = await imageRetrieval(folder).prepare(model);
    expect((await ExampleSet.of(whole.train))!.size).toBe(70);
    // Others are held out with another seed: those that were not trained on are what eval measures.
    const other = (await imageRetrieval(folder, { validation: 0.3, seed: 5 }).prepare(model)).validation!;
    const files = [...Array(other.length).keys()].map((i) => other.nameOf!(i));
    const held = new Set([...Array(halves.validation!.length).keys()].map((i) => halves.validation!.nameOf!(i)));
    const known = files.flatMap((file, i) => (held.has(file) ? [] : [i]));
    expect(known.length).toBeGreaterThan(0);
    expect(await trained.among(other)).toEqual(new Set(known));
    // A group was trained on where one of its images was.
    expect((await trained.among(whole.train))!.size).toBeGreaterThan(20);
  });

  test('holds out what can find another image, or nothing', async () => {
    const model = await openModel(vit);
    const names = ['a', 'b'].flatMap((label) => Array.from({ length: 9 }, (_, i) => `${label}/${i}.png`));
    const folder = dataFolder(Object.fromEntries(names.map((name) => [name, true])));
    const sizes = async (options: Parameters<typeof imageRetrieval>[1]) => {
      const { train: training, validation } = await imageRetrieval(folder, options).prepare(model);
      return [training.length, validation?.length];
    };
    // Groups of two of nine images; one of each label would be held out.
    expect(await sizes({ holdOut: 0.06 })).toEqual([8, undefined]);
    expect(await sizes({ holdOut: 0.2 })).toEqual([6, 4]);
    expect(await sizes({ holdOut: 0.2, validation: 0 })).toEqual([8, undefined]);
    await expect(sizes({ validation: 0.06 })).rejects.toThrow(/No two of the 2 held-out images .* are of one kind/);
  });

  test('names the line of the manifest with an image that cannot be read', async () => {
    const folder = dataFolder({ 'a.png': true, 'b.png': 'no image', 'c.png': true, 'd.png': true });
    writeFileSync(join(folder, 'labels.csv'), 'image,label\na.png,x\nb.png,x\nc.png,y\nd.png,y\n');
    const { train: groups } = await imageRetrieval(join(folder, 'labels.csv')).prepare(await openModel(vit));
    expect(groups.nameOf!(0)).toMatch(/a\.png \(.*labels\.csv, line 2\)/);
    await expect(groups.get(0)).rejects.toThrow(/labels\.csv, line 3: .*b\.png/);
  });

  test('refuses images without labels, and options that do not fit', async () => {
    const model = await openModel(vit);
    const refused = (options: Parameters<typeof imageRetrieval>[1]) => imageRetrieval([{ file: 'x.png', place: 'x.png' }], options).prepare(model); // prettier-ignore
    await expect(refused({})).rejects.toThrow(/x\.png: the image has no label/);
    await expect(refused({ loss: 'cosine' as never })).rejects.toThrow(/^loss must be one of contrastive, .*"cosine"/);
    await expect(refused({ perGroup: 1 })).rejects.toThrow(/perGroup/);
    await expect(refused({ perGroup: 4, loss: 'info-nce' })).rejects.toThrow(/compares pairs/);
  });
});
