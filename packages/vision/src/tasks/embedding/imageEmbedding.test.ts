import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { float32, openModel } from '@onnx-lora/sdk';
import { type Prediction, saveEmbeddings } from '@onnx-lora/sdk/tasks';
import { readSafetensors, readTable } from '@onnx-lora/sdk/data';
import { expect, test } from 'vitest';
import { readDigits, writeDigits } from '../../../../../docs/examples/support/digits.ts';
import { dataFolder } from '../../../fixtures/dataFolder.ts';
import { ImageFileDecoder } from '../../image/imageFileDecoder.ts';
import { ImagePreprocessorFactory } from '../../preprocess/config/preprocessorFile.ts';
import { imageEmbeddings, imageEmbeddingTask } from './imageEmbedder.ts';
import { imageRetrievalTask } from './imageRetrieval.ts';

const vit = fileURLToPath(new URL('../../../../../docs/examples/models/vit-mnist', import.meta.url));
const decoder = new ImageFileDecoder();
const preprocessors = [new ImagePreprocessorFactory(decoder)];

test('the predictor answers with the embeddings that imageEmbeddings gives', async () => {
  const model = await openModel(vit);
  const folder = dataFolder({});
  const digits = (await readDigits()).slice(8000, 8003);
  await writeDigits(folder, digits, 'upright');
  const files = digits.map(({ label }, i) => join(folder, String(label), `0000${i}.png`));
  const expected = await imageEmbeddings(model, files, { batchSize: 2 });
  const raw = await imageEmbeddings(model, files, { normalize: false });
  const width = expected.dims[1]!;
  for (const factory of [imageEmbeddingTask(decoder, preprocessors), imageRetrievalTask(decoder, preprocessors)]) {
    await using predictor = await factory.predictor(model, { load: { worker: false } });
    const answers: Prediction[] = [];
    for await (const { prediction } of predictor.predict(files, { batchSize: 2 })) answers.push(prediction);
    expect(answers).toHaveLength(3);
    answers.forEach((answer, i) => {
      const length = Math.hypot(...(raw.data.slice(i * width, (i + 1) * width) as Float32Array));
      (answer['embedding'] as number[]).forEach((value, j) => {
        expect(value).toBeCloseTo(Number(expected.data[i * width + j]), 5);
        expect(value * length).toBeCloseTo(Number(raw.data[i * width + j]), 3);
      });
    });
  }
});

test('embeddings are written for other programs', async () => {
  const folder = dataFolder({});
  const embeddings = float32([0.1, -2, 3, 1e-9], [2, 2]);
  const files = ['a "b", c.png', 'ü.jpg'];
  await saveEmbeddings(join(folder, 'e.safetensors'), files, embeddings);
  const { tensors, metadata } = await readSafetensors(join(folder, 'e.safetensors'));
  expect(tensors.get('embeddings')).toEqual(embeddings);
  expect(JSON.parse(metadata['files']!)).toEqual(files);
  await saveEmbeddings(join(folder, 'e.csv'), files, embeddings);
  const { rows } = await readTable(join(folder, 'e.csv'));
  expect(rows.map(({ cells }) => cells.get('file'))).toEqual(files);
  expect(rows.flatMap(({ cells }) => ['e0', 'e1'].map((name) => Math.fround(Number(cells.get(name)))))).toEqual([
    ...embeddings.data,
  ]);
  await expect(saveEmbeddings(join(folder, 'e.npy'), files, embeddings)).rejects.toThrow(
    /neither .safetensors nor .csv/,
  );
  await expect(saveEmbeddings(join(folder, 'e.csv'), ['a'], embeddings)).rejects.toThrow(/do not belong to 1 files/);
});

test('the command line hears what is wrong', async () => {
  const model = await openModel(vit);
  const embedding = imageEmbeddingTask(decoder, preprocessors);
  const retrieval = imageRetrievalTask(decoder, preprocessors);
  const options = { data: 'nowhere', seed: 0 };
  await expect(embedding.create(options).prepare(model)).rejects.toThrow(/take the task image-retrieval/);
  await expect(embedding.processor(model, { pooling: 'max' })).rejects.toThrow(
    'pooling must be one of cls, mean, gem, but it is "max"',
  );
  expect(() => retrieval.create({ ...options, settings: { augment: 'standart' } })).toThrow(/Did you mean "standard"/);
  expect(() => retrieval.create({ ...options, settings: { loss: 'cosine' } })).toThrow(
    'loss must be one of contrastive, triplet, info-nce, but it is "cosine"',
  );
  await expect(imageEmbeddings(model, [])).rejects.toThrow(/no images to embed/);
});
