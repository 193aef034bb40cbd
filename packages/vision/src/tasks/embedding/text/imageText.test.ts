import { cpSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { evaluate, openModel, train } from '@onnx-lora/sdk';
import type { TaskModel } from '@onnx-lora/sdk/tasks';
import { openOnnx, type OnnxFile, writeOnnx } from '@onnx-lora/sdk/plugin';
import sharp from 'sharp';
import { describe, expect, test } from 'vitest';
import { dataFolder } from '../../../../fixtures/dataFolder.ts';
import { fixture } from '../../../../fixtures/goldens.ts';
import { visionFamilies } from '../../../families/index.ts';
import { ImageFileDecoder } from '../../../image/imageFileDecoder.ts';
import { ImagePreprocessorFactory } from '../../../preprocess/config/preprocessorFile.ts';
import { imageText, imageTextTask } from './imageText.ts';
import { rowLength, textTokenizer } from './textTokenizer.ts';
import { zeroShotClassifier } from './zeroShot.ts';

const tiny = fileURLToPath(new URL('../../../../fixtures/embedding/clip-tiny', import.meta.url));

/** Outputs of transformers' CLIPModel for the pictures and captions. */
const golden = fixture<{
  captions: string[];
  input_ids: number[][];
  attention_mask: number[][];
  logits_per_image: number[][];
  loss: number;
  zeroShot: number[][];
}>('embedding/clip.json');

const tokenizers = fixture<{ texts: string[]; clip: number[][]; siglip: { tokenizer: object; ids: number[][] } }>(
  'embedding/tokenizers.json',
);

/** A folder with the pictures of make_clip.py, and captions. */
async function pictures(captions: readonly string[] = golden.captions): Promise<{ folder: string; files: string[] }> {
  const rows = captions.map((text, i) => `${i % 4}.png,"${text}"`);
  const folder = dataFolder({ 'metadata.csv': ['file_name,text', ...rows].join('\n') });
  const files = await Promise.all(
    [0, 1, 2, 3].map(async (i) => {
      const data = new Uint8Array(36 * 40 * 3);
      for (let y = 0; y < 36; y++) {
        for (let x = 0; x < 40; x++) data.set([x * 5, y * 6, 60 * i], (y * 40 + x) * 3);
      }
      const [top, left] = [2 + 16 * Math.floor(i / 2), 3 + 18 * (i % 2)];
      for (let y = top; y < top + 12; y++) data.fill(128, (y * 40 + left) * 3, (y * 40 + left + 14) * 3);
      const file = join(folder, `${i}.png`);
      await sharp(data, { raw: { width: 40, height: 36, channels: 3 } })
        .png()
        .toFile(file);
      return file;
    }),
  );
  return { folder, files };
}

describe('token ids are those of the library tokenizers', () => {
  const modelIn = (folder: string, config: TaskModel['config'] = {}): TaskModel => ({ name: 'm', folder, config, inputs: {}, outputs: {} }); // prettier-ignore

  test("of CLIP's kind", async () => {
    const folder = dataFolder({});
    cpSync(join(tiny, 'tokenizer.json'), join(folder, 'tokenizer.json'));
    const tokenizer = await textTokenizer(modelIn(folder));
    tokenizers.texts.forEach((text, i) => expect(tokenizer.encode(text), text).toEqual(tokenizers.clip[i]));
    expect(rowLength(tokenizer, [[1, 2], [1, 2, 3]])).toBe(3); // prettier-ignore
  });

  test("of SigLIP's kind, filled up to 64", async () => {
    const folder = dataFolder({ 'tokenizer.json': JSON.stringify(tokenizers.siglip.tokenizer) });
    const tokenizer = await textTokenizer(modelIn(folder, { model_type: 'siglip' }));
    tokenizers.texts.forEach((text, i) => {
      const ids = tokenizers.siglip.ids[i]!;
      // The end mark stays where a text is cut.
      expect(tokenizer.encode(text), text).toEqual(ids.length > 64 ? [...ids.slice(0, 63), ids.at(-1)] : ids);
    });
    expect(rowLength(tokenizer, [[1, 2]])).toBe(64);
  });

  test('refuses what is no tokenizer', async () => {
    await expect(textTokenizer(modelIn(dataFolder({})))).rejects.toThrow(/no ".*tokenizer.json".*Copy the file/);
    await expect(textTokenizer(modelIn(dataFolder({ 'tokenizer.json': '[]' })))).rejects.toThrow(/not a JSON object/);
    await expect(textTokenizer(modelIn(dataFolder({ 'tokenizer.json': '{}' })))).rejects.toThrow(/cannot be read as a tokenizer/);
    const slow = { ...(tokenizers.siglip.tokenizer as object), pre_tokenizer: { type: 'Split', pattern: { Regex: String.raw`(.+)+\n` }, behavior: 'Isolated' } };
    await expect(textTokenizer(modelIn(dataFolder({ 'tokenizer.json': JSON.stringify(slow) })))).rejects.toThrow(/busy for ever/);
    await expect(textTokenizer({ name: 'lone', inputs: {}, outputs: {} })).rejects.toThrow(/single .onnx file/);
  }); // prettier-ignore
});

test("feeds, loss and metrics are those of transformers' CLIPModel", async () => {
  const model = await openModel(tiny, { families: visionFamilies });
  const { folder } = await pictures();
  const task = imageText(folder);
  const prepared = await task.prepare(model);
  const { inputs } = await prepared.collate(await Promise.all([0, 1, 2, 3].map((i) => prepared.train.get(i))));
  expect(Array.from(inputs['input_ids']!.data, Number)).toEqual(golden.input_ids.flat());
  expect(Array.from(inputs['attention_mask']!.data, Number)).toEqual(golden.attention_mask.flat());
  const session = await model.session({ worker: false });
  const { logits_per_image: logits } = await session.run(inputs);
  await session.release();
  logits!.data.forEach((value, i) => expect(Number(value)).toBeCloseTo(golden.logits_per_image.flat()[i]!, 4));

  const run = await train(model, { task, lora: { r: 4 }, steps: 40, batchSize: 4, lr: 1e-2, threads: 1 });
  const losses: number[] = [];
  for await (const event of run) if (event.type === 'step') losses.push(event.loss);
  const { adapter } = await run.done;
  expect(losses[0]).toBeCloseTo(golden.loss, 4);
  expect(losses.at(-1)).toBeLessThan(0.5 * golden.loss);
  const { metrics } = await evaluate(model, { task, adapter });
  expect(metrics).toMatchObject({ 'imageToText@1': 1, 'textToImage@1': 1 });
  expect(Object.keys(metrics)).toHaveLength(6);
});

test('several captions of one image are all right answers', async () => {
  const model = await openModel(tiny, { families: visionFamilies });
  const { folder } = await pictures([...golden.captions, 'a second caption']);
  const prepared = await imageText(folder).prepare(model);
  const examples = await Promise.all([0, 1, 2, 3, 4].map((i) => prepared.train.get(i)));
  const { inputs, targets } = await prepared.collate(examples);
  expect(inputs['input_ids']!.dims[0]).toBe(5);
  const collector = prepared.metrics();
  const rows = (values: number[][]) => ({ type: 'float32' as const, dims: [values.length, 3], data: Float32Array.from(values.flat()) }); // prettier-ignore
  // The first image lies at its second caption, its first caption at the second image.
  const image_embeds = rows([[1, 0, 0], [0, 1, 0], [0, 0, 1], [-1, 0, 0], [1, 0, 0]]); // prettier-ignore
  const text_embeds = rows([[0, 1, 0.1], [0, 1, 0], [0, 0, 1], [-1, 0, 0], [1, 0, 0]]); // prettier-ignore
  collector.update({ image_embeds, text_embeds }, targets);
  expect(collector.result()).toMatchObject({ 'imageToText@1': 1, 'textToImage@1': 4 / 5, 'textToImage@5': 1 });
});

describe('zero-shot classification', () => {
  const decoder = new ImageFileDecoder();
  const factory = imageTextTask(decoder, [new ImagePreprocessorFactory(decoder)]);

  test("gives transformers' similarities", async () => {
    const model = await openModel(tiny, { families: visionFamilies });
    const { files } = await pictures();
    const processor = await factory.processor(model, { labels: ['cat', 'red circle'] });
    const session = await model.session({ worker: false });
    const feeds = await processor.feeds(files);
    const outputs = await session.run(feeds);
    await session.release();
    expect(outputs['logits_per_image']!.dims).toEqual([4, 2]);
    outputs['logits_per_image']!.data.forEach((value, i) =>
      expect(Number(value)).toBeCloseTo(golden.zeroShot.flat()[i]!, 4),
    );
    processor.decode(outputs, feeds).forEach(({ label, score }, i) => {
      const [cat, circle] = golden.zeroShot[i] as [number, number];
      expect(label).toBe(cat > circle ? 'cat' : 'red circle');
      expect(score).toBeCloseTo(1 / (1 + Math.exp(-Math.abs(cat - circle))), 4);
    });
  });

  test('works on the two files that transformers.js publishes, as far as cosines tell', async () => {
    const folder = dataFolder({});
    for (const name of ['config.json', 'preprocessor_config.json', 'tokenizer.json', 'tokenizer_config.json']) {
      cpSync(join(tiny, name), join(folder, name));
    }
    mkdirSync(join(folder, 'onnx'));
    const whole = openOnnx(join(tiny, 'onnx/model.onnx'));
    writeOnnx(join(folder, 'onnx/vision_model.onnx'), cut(whole, 'image_embeds'));
    writeOnnx(join(folder, 'onnx/text_model.onnx'), cut(whole, 'text_embeds'));
    const model = await openModel(folder, { families: visionFamilies });
    expect(Object.keys(model.inputs).sort()).toEqual(['attention_mask', 'input_ids', 'pixel_values']);
    const { files, folder: data } = await pictures();
    const classifier = await zeroShotClassifier(model, { labels: ['cat', 'red circle'] });
    const session = await model.session({ worker: false });
    const answers = classifier.decode(await session.run(await classifier.feeds(files)));
    await session.release();
    answers.forEach(({ label }, i) => {
      const [cat, circle] = golden.zeroShot[i] as [number, number];
      expect(label).toBe(cat > circle ? 'cat' : 'red circle');
    });
    const run = await train(model, { task: imageText(data), lora: { r: 2 }, steps: 3, batchSize: 4, threads: 1 });
    expect((await run.done).loss).toBeGreaterThan(0);
    rmSync(folder, { recursive: true });
    mkdirSync(folder);
  });

  test('refuses what it cannot answer', async () => {
    const model = await openModel(tiny, { families: visionFamilies });
    await expect(factory.processor(model)).rejects.toThrow(/--set labels=cat,dog/);
    const without = factory.processor(model, { labels: ['cat'], template: 'a photo' });
    await expect(without).rejects.toThrow(/no place for a label/);
    const other = { ...model, outputs: {}, inputs: model.inputs, name: 'half' } as unknown as TaskModel;
    await expect(zeroShotClassifier(other, { labels: ['cat'] })).rejects.toThrow(/"half" does not compare images/);
    const mute = imageText([{ file: 'a.png', place: 'captions.csv, line 2' }]).prepare(model);
    await expect(mute).rejects.toThrow(/captions.csv, line 2: the image has no caption/);
  });
});

/** The part of a model that gives one output. */
function cut({ model }: OnnxFile, output: string): OnnxFile['model'] {
  const { graph } = model;
  const needed = new Set([output]);
  const nodes = (graph.node ?? []).toReversed().filter((node) => {
    if (!node.output!.some((name) => needed.has(name))) return false;
    for (const name of node.input!) needed.add(name);
    return true;
  });
  const kept = <T extends { readonly name?: string | undefined }>(all: readonly T[] = []): T[] =>
    all.filter(({ name }) => needed.has(name ?? ''));
  return {
    ...model,
    graph: {
      ...graph,
      node: nodes.toReversed(),
      initializer: kept(graph.initializer),
      input: kept(graph.input),
      output: (graph.output ?? []).filter(({ name }) => name === output),
    },
  };
}
