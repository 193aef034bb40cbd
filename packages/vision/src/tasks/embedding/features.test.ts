import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { float32, openModel } from '@onnx-lora/sdk';
import { type GraphPort, type TaskModel, type Value, GraphBuilder } from '@onnx-lora/sdk/tasks';
import { inferNode } from '@onnx-lora/sdk/plugin';
import { readSafetensors } from '@onnx-lora/sdk/data';
import { describe, expect, test } from 'vitest';
import { modelFrom, runOnce } from '../../../../../test/support/graphs.ts';
import { readDigits, writeDigits } from '../../../../../docs/examples/support/digits.ts';
import { dataFolder } from '../../../fixtures/dataFolder.ts';
import { readImageData } from '../../data/readImageData.ts';
import { type Features, type FeatureOptions, featuresOf, imageRows, imageValue } from './features.ts';
import { imageEmbeddings } from './imageEmbedder.ts';

const port = (...dims: (number | string)[]): GraphPort => ({ type: 'float32', dims });

function model(outputs: TaskModel['outputs'], type?: string, extra: Partial<TaskModel> = {}): TaskModel {
  return {
    name: 'tiny',
    ...(type === undefined ? {} : { config: { model_type: type } }),
    inputs: { pixel_values: port('batch', 3, 8, 8) },
    outputs,
    ...extra,
  };
}

const tokens = port('batch', 5, 4);
const vector = port('batch', 4);
const head = (output: string) =>
  output === 'logits' ? { name: 'hidden', module: 'classifier', type: 'float32' as const, dims: undefined } : undefined;

describe('the feature of', () => {
  test.each<[string, TaskModel, FeatureOptions, Partial<Features>]>([
    ['CLIP is its projection', model({ last_hidden_state: tokens, pooler_output: vector, image_embeds: vector }, 'clip'), {}, { output: 'image_embeds' }],
    ['DINOv2 is the pooler', model({ last_hidden_state: tokens, pooler_output: vector }, 'dinov2'), {}, { output: 'pooler_output' }],
    ['ViT is the class token, since its pooler is not trained', model({ last_hidden_state: tokens, pooler_output: vector }, 'vit'), {}, { output: 'last_hidden_state', pooling: 'cls', extraTokens: 1 }],
    ['a model without a class token is the mean', model({ last_hidden_state: tokens }, 'siglip_vision_model'), {}, { pooling: 'mean', extraTokens: 0 }],
    ['a map is its mean', model({ image_embeddings: port('batch', 4, 2, 2) }), {}, { output: 'image_embeddings', pooling: 'mean' }],
    ['a classifier is what its head reads', model({ logits: vector }, 'vit', { headInput: head }), {}, { output: 'hidden', inner: ['hidden'] }],
    ['a classifier with hidden states, on request', model({ logits: vector, last_hidden_state: tokens }, 'vit', { headInput: head }), { output: 'before-head' }, { output: 'hidden', inner: ['hidden'] }],
    ['DINOv2 with registers leaves them out of the mean', model({ last_hidden_state: tokens }, 'dinov2_with_registers', { config: { model_type: 'dinov2_with_registers', num_register_tokens: 2 } }), { pooling: 'mean' }, { pooling: 'mean', extraTokens: 3 }],
  ])('%s', (_, given, options, expected) => {
    expect(featuresOf(given, options)).toMatchObject({ inner: [], ...expected });
  }); // prettier-ignore

  test.each<[string, TaskModel, FeatureOptions, RegExp]>([
    ['logits', model({ logits: vector }, 'vit', { headInput: head }), { output: 'logits' }, /"logits" of "tiny" holds scores.*"before-head"/],
    ['an unknown output', model({ last_hidden_state: tokens }), { output: 'last_hidden' }, /Did you mean "last_hidden_state"/],
    ['a model of scores without a head', model({ logits: vector }), {}, /no single layer gives one of its outputs.*Export/],
    ['a model without images', model({ logits: vector }, 'bert', { inputs: { input_ids: { type: 'int64', dims: ['b', 's'] } } }), {}, /"input_ids" int64 \[b, s\]/],
  ])('refuses %s', (_, given, options, reason) => {
    expect(() => featuresOf(given, options)).toThrow(reason);
  }); // prettier-ignore
});

describe('pooling', () => {
  const features = (pooling: Features['pooling'], extraTokens = 0): Features => ({
    input: { name: 'x' },
    output: 'y',
    inner: [],
    pooling,
    extraTokens,
  });
  const y = float32([1, 2, 3, 4, 5, 6, -1, -2, 8, 2, 2, 2], [2, 3, 2]);
  const map = float32([1, 2, 3, 4, -8, 8, 1, 1], [1, 2, 2, 2]);
  const gem = (...values: number[]): number =>
    Math.cbrt(values.reduce((sum, value) => sum + Math.max(value, 1e-6) ** 3, 0) / values.length);
  const cases: [string, ReturnType<typeof float32>, Features, number[]][] = [
    ['vectors as they are', float32([1, 2, 3, 4], [2, 2]), features('mean'), [1, 2, 3, 4]],
    ['the class token', y, features('cls', 1), [1, 2, -1, -2]],
    ['the mean of all tokens', y, features('mean'), [3, 4, 3, 2 / 3]],
    ['the mean of patches', y, features('mean', 1), [4, 5, 5, 2]],
    ['GeM of tokens', y, features('gem', 1), [gem(3, 5), gem(4, 6), gem(8, 2), gem(2, 2)]],
    ['the mean of a map', map, features('mean'), [2.5, 0.5]],
    ['GeM of a map', map, features('gem'), [gem(1, 2, 3, 4), gem(-8, 8, 1, 1)]],
  ];

  test.each(cases)('%s', async (_, tensor, chosen, expected) => {
    const rows = imageRows({ y: tensor }, chosen);
    rows.data.forEach((value, i) => expect(Number(value)).toBeCloseTo(expected[i]!, 5));
    // In a graph it is the same.
    const input: Value = { name: 'y', type: 'float32', shape: tensor.dims };
    const g = new GraphBuilder({ opset: 17, infer: inferNode, prefix: 'pool/' });
    const pooled = imageValue(g, { y: input }, chosen);
    const value = g.Mul(pooled, 1);
    const { [value.name]: found } = await runOnce(modelFrom(g, [input], [value]), { y: tensor });
    expect(found!.dims).toEqual(rows.dims);
    rows.data.forEach((each, i) => expect(Number(found!.data[i])).toBeCloseTo(Number(each), 5));
  });

  test('refuses what is not there, and what is not finite', () => {
    expect(() => imageRows({}, features('mean'))).toThrow(/gave nothing/);
    expect(() => imageRows({ y: float32([Number.NaN], [1, 1]) }, features('mean'))).toThrow(/holds NaN/);
  });
});

const cases = fileURLToPath(new URL('../../../../../../shared/oracle/cases', import.meta.url));

test.skipIf(!existsSync(cases)).each([
  ['clip-vision-v4', 'image_embeds', 16],
  ['siglip-v5', 'pooler_output', 32],
  ['vit-v4', 'before-head', 32],
  ['dinov2-v4', 'before-head', 64],
  ['convnext-v4', 'before-head', undefined],
  ['resnet-v4', 'before-head', undefined],
  ['swin-v5', 'before-head', undefined],
  ['siglip-cls-dynamo-v5', 'before-head', 32],
  ['sam-encoder-v4', 'image_embeddings', 16],
] as const)('%s has the feature %s', async (name, output, width) => {
  const opened = await openModel(`${cases}/${name}/model.onnx`);
  const chosen = featuresOf(opened);
  expect(chosen.inner).toHaveLength(output === 'before-head' ? 1 : 0);
  if (output !== 'before-head') expect(chosen.output).toBe(output);
  const { tensors } = await readSafetensors(`${cases}/${name}/inputs.safetensors`);
  const session = await opened.withOutputs(chosen.inner).session({ worker: false });
  const outputs = await session.run({ pixel_values: tensors.get('pixel_values')! });
  await session.release();
  const rows = imageRows(outputs, chosen);
  expect(rows.dims).toEqual([tensors.get('pixel_values')!.dims[0], width ?? rows.dims[1]]);
});

test('embeddings of real images lie nearest to those of their kind', async () => {
  const folder = dataFolder({});
  const digits = (await readDigits()).slice(8000, 8060);
  await writeDigits(folder, digits, 'upright');
  const { train: files } = await readImageData(folder);
  const vit = await openModel(fileURLToPath(new URL('../../../../../docs/examples/models/vit-mnist', import.meta.url)));
  const rows = await imageEmbeddings(vit, files.map(({ file }) => file), { batchSize: 16 }); // prettier-ignore
  const [count, width] = rows.dims as [number, number];
  expect(count).toBe(files.length);
  const cosine = (a: number, b: number): number => {
    let sum = 0;
    for (let i = 0; i < width; i++) sum += Number(rows.data[a * width + i]) * Number(rows.data[b * width + i]);
    return sum;
  };
  let right = 0;
  files.forEach(({ label }, i) => {
    expect(cosine(i, i)).toBeCloseTo(1, 5);
    const others = files.map((_, j) => j).filter((j) => j !== i);
    const nearest = others.reduce((best, j) => (cosine(i, j) > cosine(i, best) ? j : best));
    if (files[nearest]!.label === label) right++;
  });
  expect(right / count).toBeGreaterThan(0.8);
});
