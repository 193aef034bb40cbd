/** @file Tests of the server on the small ViT: labels, tensors and adapters by HTTP are those of the model itself. */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Adapter, int64, loadAdapter, loadPlugins, merge, type Model, openModel, openPredictor } from '@onnx-lora/sdk';
import { randomAdapter, randomFeeds } from '@onnx-lora/testing';
import { serve, type Server } from '@onnx-lora/serve';
import { visionPlugin } from '@onnx-lora/vision';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeDigits } from './fixtures/digits.ts';

const vit = fileURLToPath(new URL('../docs/examples/models/vit-mnist', import.meta.url));
const plugins = loadPlugins([visionPlugin]);
const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-serve-test-'));
const runs = path.join(folder, 'runs');

let model: Model;
let server: Server;
let files: string[];
const failures: unknown[] = [];

/** Random changes of queries and values, and a head of its own with three labels. */
async function shapes(): Promise<Adapter> {
  const { config, tensors, baseDigest } = await randomAdapter(model, { lora: { r: 2, modulesToSave: ['classifier'] }, seed: 5 }); // prettier-ignore
  const three = [...tensors].map(([name, tensor]) => {
    if (!name.includes('classifier')) return [name, tensor] as const;
    const [, ...rest] = tensor.dims;
    const size = 3 * rest.reduce((product, dim) => product * dim, 1);
    return [name, { ...tensor, dims: [3, ...rest], data: tensor.data.slice(0, size) }] as const;
  });
  return new Adapter(config, new Map(three), baseDigest, {
    task: 'image-classification',
    labels: ['bar', 'chair', 'snowman'],
  });
}

beforeAll(async () => {
  model = await openModel(vit, { plugins });
  files = writeDigits(path.join(folder, 'digits'), { perClass: 1 });
  await (await randomAdapter(model, { seed: 3 })).save(path.join(runs, 'odd'));
  await (await randomAdapter(model, { lora: { r: 4, targetModules: ['intermediate.dense'] }, seed: 4 })).save(path.join(runs, 'run', 'adapter')); // prettier-ignore
  await (await shapes()).save(path.join(runs, 'shapes'));
  server = await serve(model, { adapters: runs, port: 0, onLog: (entry) => failures.push(entry) });
});
afterAll(async () => {
  await server.close();
  if (failures.length > 0) throw new Error(JSON.stringify(failures));
  rmSync(folder, { recursive: true });
});

const get = async (url: string): Promise<{ status: number; body: unknown }> => {
  const answer = await fetch(`${server.url}${url}`);
  return { status: answer.status, body: await answer.json() };
};

const post = async (
  url: string,
  body: Uint8Array | FormData | string,
  headers: Record<string, string> = {},
): Promise<{ status: number; body: Record<string, unknown> }> => {
  const answer = await fetch(`${server.url}${url}`, { method: 'POST', body: body as never, headers });
  return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
};

/** The model merged with an adapter: what answers without a server. */
async function merged(adapter: string | undefined): Promise<Model> {
  if (adapter === undefined) return model;
  const out = path.join(folder, `merged-${adapter}`);
  await merge(model, await loadAdapter(path.join(runs, adapter)), out, { overwrite: true });
  return openModel(out, { plugins });
}

describe('/predict', () => {
  it.each([undefined, 'odd', 'run', 'shapes'])('answers as the merged model of %s does', async (adapter) => {
    const query = adapter === undefined ? '' : `?adapter=${adapter}`;
    await using predictor = await openPredictor(await merged(adapter));
    const some = files.slice(0, 4);
    let i = 0;
    for await (const { prediction } of predictor.predict(some)) {
      const { status, body } = await post(`/predict${query}`, readFileSync(some[i++]!), {
        'content-type': 'image/png',
      });
      const { label, score } = prediction;
      expect([status, body]).toMatchObject([200, { predictions: [{ label, score: expect.closeTo(score as number, 4) }], task: 'image-classification' }]); // prettier-ignore
    }
  });

  it('takes a form of several files, and a file of which only its bytes say what it is', async () => {
    const form = new FormData();
    form.set('adapter', 'odd');
    for (const file of files.slice(0, 3)) form.append('file', new Blob([readFileSync(file)]), path.basename(file));
    const { body } = await post('/predict', form);
    const one = await post('/predict?adapter=odd', readFileSync(files[1]!));
    const [only] = one.body['predictions'] as { label: string; score: number }[];
    const second = { label: only!.label, score: expect.closeTo(only!.score, 5) };
    expect(body).toMatchObject({ adapter: { name: 'odd' }, predictions: [{}, second, {}] });
  });

  it.each([
    ['/predict?adapter=od', 404, 'There is no adapter "od"'],
    ['/predict?adapter=..%2Fodd', 404, 'There is no adapter "../odd"'],
    ['/predict', 415, 'Nothing says that "body" is a file'],
  ])('refuses %s', async (url, status, error) => {
    expect(await post(url, 'text')).toMatchObject({ status, body: { error: expect.stringContaining(error) } });
  });

  it('speaks of a file that cannot be read by the name that the client gave it', async () => {
    const form = new FormData();
    form.append('file', new Blob([readFileSync(files[0]!).subarray(0, 60)]), 'torn.png');
    const { status, body } = await post('/predict', form);
    expect([status, body]).toMatchObject([400, { code: 'DATA_INVALID', error: expect.stringMatching(/"torn\.png"/) }]);
    expect(body['error']).not.toContain(tmpdir());
  });
});

describe('/v2', () => {
  const pixels = randomFeeds({ name: 'vit', inputs: { pixel_values: { type: 'float32', dims: [2, 3, 28, 28] } } })['pixel_values']!; // prettier-ignore
  const input = { name: 'pixel_values', shape: [...pixels.dims], datatype: 'FP32' };
  const data = Array.from(pixels.data as Float32Array);
  const infer = (name: string, more: object = {}) =>
    post(`/v2/models/${name}/infer`, JSON.stringify({ id: '7', inputs: [{ ...input, data }], ...more }));
  const logits = async (adapter: string | undefined): Promise<number[]> => {
    await using session = await (await merged(adapter)).session();
    return Array.from((await session.run({ pixel_values: pixels }))['logits']!.data as Float32Array);
  };

  it('says what there is', async () => {
    expect(await get('/v2/health/live')).toEqual({ status: 200, body: { live: true } });
    expect(await get('/v2/health/ready')).toEqual({ status: 200, body: { ready: true } });
    expect((await get('/v2')).body).toMatchObject({ extensions: expect.arrayContaining(['binary_tensor_data']) });
    expect((await get('/v2/models/vit-mnist')).body).toEqual({
      name: 'vit-mnist',
      versions: ['1'],
      platform: 'onnxruntime_onnx',
      inputs: [{ name: 'pixel_values', datatype: 'FP32', shape: [-1, 3, 28, 28] }],
      outputs: [{ name: 'logits', datatype: 'FP32', shape: [-1, 10] }],
    });
    expect((await get('/v2/models/vit-mnist:shapes')).body).toMatchObject({ outputs: [{ shape: [-1, 3] }] });
    expect(await get('/v2/models/vit-mnist:odd/ready')).toMatchObject({ status: 200 });
    expect(await get('/v2/models/vit-mnist:none/ready')).toMatchObject({ status: 404 });
    expect(await get('/v2/models/vit/ready')).toMatchObject({ status: 404, body: { code: 'FILE_NOT_FOUND' } });
  });

  it.each([undefined, 'odd', 'run', 'shapes'])('gives the outputs of the merged model of %s', async (adapter) => {
    const found = await logits(adapter);
    const { body } = await infer('vit-mnist', adapter === undefined ? {} : { parameters: { lora: adapter } });
    const shape = [2, found.length / 2];
    expect(body).toMatchObject({
      id: '7',
      model_name: 'vit-mnist',
      outputs: [{ name: 'logits', datatype: 'FP32', shape }],
    });
    const values = (body['outputs'] as { data: number[] }[])[0]!.data;
    values.forEach((value, i) => expect(value).toBeCloseTo(found[i]!, 3));
    if (adapter === undefined) return;
    expect((await infer(`vit-mnist:${adapter}`)).body).toMatchObject({
      outputs: body['outputs'],
      parameters: { lora: adapter },
    });
  });

  it('takes and gives bytes', async () => {
    const bytes = Buffer.from(pixels.data.buffer);
    const asked = {
      inputs: [{ ...input, parameters: { binary_data_size: bytes.length } }],
      parameters: { binary_data_output: true },
    };
    const header = Buffer.from(JSON.stringify(asked));
    const answer = await fetch(`${server.url}/v2/models/vit-mnist:odd/infer`, {
      method: 'POST',
      body: Buffer.concat([header, bytes]),
      headers: { 'inference-header-content-length': String(header.length) },
    });
    const body = Buffer.from(await answer.arrayBuffer());
    const length = Number(answer.headers.get('inference-header-content-length'));
    const { outputs } = JSON.parse(body.subarray(0, length).toString()) as { outputs: object[] };
    expect(outputs).toEqual([
      { name: 'logits', datatype: 'FP32', shape: [2, 10], parameters: { binary_data_size: 80 } },
    ]);
    const values = new Float32Array(Uint8Array.from(body.subarray(length)).buffer);
    const found = await logits('odd');
    expect(values).toHaveLength(20);
    values.forEach((value, i) => expect(value).toBeCloseTo(found[i]!, 3));
  });

  it.each([
    ['Latin-1', Buffer.from('{"inputs": "grün"}', 'latin1'), 'line 1: the text is not UTF-8'],
    ['no JSON', '{', 'no JSON'],
    ['no inputs', '{}', 'at "inputs"'],
    ['too few values', { inputs: [{ ...input, data: [1] }] }, 'says 4704 values, and 1 were sent'],
    ['a word', { inputs: [{ ...input, shape: [1], data: ['a'] }] }, 'value 0 is "a", and no FP32'],
    [
      'a fraction',
      { inputs: [{ ...input, datatype: 'INT8', shape: [1], data: [1.5] }] },
      'value 0 is 1.5, and no INT8',
    ],
    ['another shape', { inputs: [{ ...input, shape: [1], data: [1] }] }, 'pixel_values'],
    ['another input', { inputs: [{ ...input, name: 'x', data }] }, 'pixel_values'],
    [
      'two of one name',
      {
        inputs: [
          { ...input, data },
          { ...input, data },
        ],
      },
      'sent twice',
    ],
    ['bytes that are not there', { inputs: [{ ...input, parameters: { binary_data_size: 4 } }] }, '0 bytes are left'],
    ['no such output', { inputs: [{ ...input, data }], outputs: [{ name: 'x' }] }, 'no output "x"'],
  ])('refuses %s', async (_, body, error) => {
    const sent = typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body);
    const answer = await post('/v2/models/vit-mnist/infer', sent);
    expect(answer).toMatchObject({
      status: 400,
      body: { code: 'INPUT_INVALID', error: expect.stringContaining(error) },
    });
  });
});

describe('requests of different lengths', () => {
  it('share batches of a model with a mask, and answer as alone', async () => {
    const esm = await openModel(fileURLToPath(new URL('../docs/examples/models/esm2-tiny', import.meta.url)));
    await using proteins = await serve(esm, { port: 0, batches: { maxPadding: 0.9 } });
    await using session = await esm.session();
    const asked = Array.from({ length: 24 }, (_, i) => {
      const length = 4 + ((i * 5) % 13);
      const ids = Array.from({ length }, (_value, j) => 4 + ((i * 7 + j * 3) % 20));
      return { ids, shape: [1, length] };
    });
    const infer = async ({ ids, shape }: { ids: number[]; shape: number[] }) => {
      const inputs = [
        { name: 'input_ids', datatype: 'INT64', shape, data: ids },
        { name: 'attention_mask', datatype: 'INT64', shape, data: ids.map(() => 1) },
      ];
      const url = `${proteins.url}/v2/models/${proteins.model}/infer`;
      const answer = await fetch(url, { method: 'POST', body: JSON.stringify({ inputs }) });
      return (await answer.json()) as { outputs: { shape: number[]; data: number[] }[] };
    };
    // A full batch of long rows keeps the session busy while the others arrive, so that they wait together on any machine.
    const long = infer({ ids: Array<number>(32 * 300).fill(5), shape: [32, 300] });
    const found = await Promise.all(asked.map(infer));
    expect((await long).outputs[0]!.shape.slice(0, 2)).toEqual([32, 300]);
    for (const [i, { ids, shape }] of asked.entries()) {
      const feeds = { input_ids: int64(ids, shape), attention_mask: int64(ids.map(() => 1), shape) }; // prettier-ignore
      const { logits } = await session.run(feeds);
      expect(found[i]!.outputs[0]!.shape).toEqual(logits!.dims);
      const expected = logits!.data as Float32Array;
      const difference = Math.max(...found[i]!.outputs[0]!.data.map((value, k) => Math.abs(value - expected[k]!)));
      expect(difference).toBeLessThan(1e-4);
    }
    const numbers = await (await fetch(`${proteins.url}/metrics`)).text();
    expect(Number(/^onnx_lora_batch_rows_count (\d+)$/m.exec(numbers)![1])).toBeLessThan(16);
    expect(Number(/^onnx_lora_batch_padding_ratio_sum ([\d.]+)$/m.exec(numbers)![1])).toBeGreaterThan(0);
  });
});
