/** @file Tests of `onnx-lora inspect` on a real model. */

import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { float32, openModel } from '@onnx-lora/sdk';
import { type Value, GraphBuilder } from '@onnx-lora/sdk/tasks';
import { inferNode, writeOnnx } from '@onnx-lora/sdk/plugin';
import { afterAll, describe, expect, it } from 'vitest';
import { call, callJson, vit } from '../../fixtures/call.ts';
import { modelFrom } from '../../../../test/support/graphs.ts';
import { main } from '../program.ts';

interface Inspected {
  readonly family: string;
  readonly opset: number;
  readonly parameters: number;
  readonly inputs: Record<string, { type: string; dims: (number | string)[] }>;
  readonly modules: { path: string; kind: string; shape: number[]; parameters: number; pathSource: string }[];
  readonly targets: { modules: string[]; trained: string[]; trainableParameters: number } | null;
}

it('says what the model is', async () => {
  const { family, opset, parameters, inputs, modules } = await callJson<Inspected>('inspect', vit);
  // By hand from config.json: patches 3·7·7·96+96, cls 96, positions 17·96, six layers of 4·(96²+96) + 96·256+256 +
  // 256·96+96 + 4·96, the last norm 192, the head 970.
  expect(parameters).toBe(14_208 + 96 + 17 * 96 + 6 * (4 * 9_312 + 24_832 + 24_672 + 384) + 192 + 970);
  expect({ family, opset, inputs }).toEqual({
    family: 'vit',
    opset: 17,
    inputs: { pixel_values: { type: 'float32', dims: ['batch_size', 3, 28, 28] } },
  });
  expect(modules).toHaveLength(38);
  expect(modules.find(({ path }) => path === 'vit.encoder.layer.3.output.dense')).toMatchObject({
    kind: 'linear',
    shape: [96, 256],
    parameters: 256 * 96 + 96,
    pathSource: 'node-name',
  });
});

it.each([
  // r (in + out) per module
  ['query,value', 12, 12 * 4 * 192],
  ['all-linear', 37, 4 * (6 * (4 * 192 + 2 * 352) + 106)],
  ['re:.*layer\\.[01]\\..*query', 2, 2 * 4 * 192],
])('--targets %s', async (targets, modules, trainable) => {
  const inspected = await callJson<Inspected>('inspect', '--model', vit, '--targets', targets, '--r', '4');
  expect(inspected.targets!.modules).toHaveLength(modules);
  expect(inspected.targets!.trainableParameters).toBe(trainable);
});

it('counts magnitudes and modules trained in full', async () => {
  const flags = ['inspect', vit, '--targets', 'vit.encoder.layer.0.output.dense', '--r', '2'];
  const { targets } = await callJson<Inspected>(...flags, '--dora', '--modules-to-save', 'classifier');
  expect(targets!.trained).toEqual(['classifier.weight', 'classifier.bias']);
  // r (in + out), a magnitude per output, the head.
  expect(targets!.trainableParameters).toBe(2 * (256 + 96) + 96 + 970);
});

it('marks the matches in its table', async () => {
  const { stdout, code } = await call(['inspect', vit, '--targets', 'classifier', '--r', '2']);
  expect(code).toBe(0);
  expect(stdout.split('\n').filter((line) => line.startsWith('*'))).toEqual([
    '*  classifier                                     linear  10×96            970  float32    weight-name',
    "* --targets classifier: 1 of 38 modules; with r 2 212 trainable parameters (0.04% of the model's).",
  ]);
});

it.each([
  [80, '*  vit.encoder.layer.0.attention.attention.query  linear  96×96          9,312'],
  [120, '*  vit.encoder.layer.0.attention.attention.query  linear  96×96          9,312  float32    node-name'],
])('keeps a module on one line of a terminal of %i columns', async (columns, row) => {
  let shown = '';
  const streams = {
    stdout: { write: (text: string) => (shown += text), isTTY: true, columns },
    stderr: { write: () => 0 },
  };
  expect(await main(['inspect', vit], streams)).toBe(0);
  const lines = shown.split('\n').map((line) => stripVTControlCharacters(line));
  expect(lines).toContain(row);
  expect(lines.filter((line) => line.startsWith('*  '))).toHaveLength(12);
  expect(lines.some((line) => line.includes('on a wider terminal, or --json'))).toBe(columns === 80);
});

it.each(['query,nope', 're:nope', '/query/', 're:', ','])('refuses --targets %s', async (targets) => {
  const { code, stdout, stderr } = await call(['inspect', vit, '--targets', targets]);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr.replaceAll(vit, 'MODEL')).toMatchSnapshot();
});

it('says what has weights and no module, how channels are grouped, and what the file notes', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-inspect-'));
  const g = new GraphBuilder({ opset: 18, infer: inferNode, prefix: '/' });
  const x = { name: 'x', type: 'float32', shape: [1, 4, 6] } as const;
  const weight = (dims: number[]): Value =>
    g.constant(float32(new Float32Array(dims.reduce((a, b) => a * b, 1)).fill(0.1), dims));
  const grouped = g.emit('Conv', [x, weight([4, 1, 3])], { group: 4 });
  const y = g.emit('RNN', [g.Transpose(grouped, [2, 0, 1]), weight([1, 5, 4]), weight([1, 5, 5])], { hidden_size: 5 });
  const file = path.join(folder, 'model.onnx');
  const alphabet = 'abcdefghij'.repeat(20);
  writeOnnx(file, {
    irVersion: 8,
    opsetImport: [{ version: 18 }],
    metadataProps: [{ key: 'character', value: alphabet }],
    graph: {
      node: g.nodes,
      initializer: [...g.initializers],
      input: [{ name: 'x', type: { tensorType: { elemType: 1, shape: { dim: [1, 4, 6].map((dimValue) => ({ dimValue })) } } } }],
      output: [{ name: y.name, type: { tensorType: { elemType: 1 } } }],
    },
  }); // prettier-ignore
  const { stdout } = await call(['inspect', file]);
  expect(stdout).toMatch(/conv1d in 4 groups {2}4×1×3 /);
  expect(stdout).toContain(`metadata    character: ${alphabet.slice(0, 60)}… (200 characters, all in --json)\n`);
  expect(stdout).toMatch(
    /1 product with weights cannot be adapted:\n {2}\S+ \(RNN, 1×5×4\) is recurrent, in a form that is not adapted\.\n/,
  );
  expect(await callJson('inspect', file)).toMatchObject({
    metadata: { character: alphabet },
    modules: [{ groups: 4, kind: 'conv1d' }],
    unadaptable: [{ operator: 'RNN', shape: [1, 5, 4] }],
  });
  rmSync(folder, { recursive: true });
});

it('--why names the operand that differs from a pattern', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-inspect-'));
  const x: Value = { name: 'x', type: 'float32', shape: [4, 8] };
  const graphWith = (half: number): string => {
    const g = new GraphBuilder({ opset: 18, infer: inferNode, prefix: '/' });
    const h = g.MatMul(x, g.constant(float32(new Float32Array(64).fill(0.1), [8, 8])));
    const y = g.Mul(g.Mul(h, g.Add(g.Erf(g.Div(h, Math.SQRT2)), 1)), half);
    const file = path.join(folder, `${half}.onnx`);
    writeOnnx(file, modelFrom(g, [x], [y]));
    return file;
  };
  const { stdout } = await call(['inspect', graphWith(0.6), '--why']);
  expect(stdout).toMatch(/Not fused or not split:\n {2}\/Mul_\d+ \(Mul\) is almost Gelu, but operand 1 of \/Mul_\d+ \(Mul\) is 0\.6, not 0\.5\./); // prettier-ignore
  expect((await call(['inspect', graphWith(0.5), '--why'])).stdout).toContain(
    'Nothing in the graph is almost a pattern.',
  );
  expect(await callJson('inspect', graphWith(0.5), '--why')).toMatchObject({ nonMatches: [] });
  rmSync(folder, { recursive: true });
});

it('--precision times its products in integers', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-inspect-'));
  const g = new GraphBuilder({ opset: 18, infer: inferNode, prefix: '/' });
  const weight = (): Value => g.constant(float32(new Float32Array(256 * 256).fill(0.1), [256, 256]));
  const y = g.MatMul(g.MatMul({ name: 'x', type: 'float32', shape: [4, 256] }, weight()), weight());
  const file = path.join(folder, 'model.onnx');
  writeOnnx(file, modelFrom(g, [{ name: 'x', type: 'float32', shape: [4, 256] }], [y]));
  const { precision } = await callJson<{ precision: Record<string, unknown> }>('inspect', file, '--precision', 'int8');
  expect(precision).toMatchObject({ name: 'int8', products: 2, weights: 2 * 256 ** 2 });
  expect(precision).toMatchObject({ floatBytes: 8 * 256 ** 2, integerBytes: 4 * 256 ** 2 });
  expect(precision['time']).toBeGreaterThan(0);
  const { stdout } = await call(['inspect', file, '--precision', 'int8-backward']);
  expect(stdout).toMatch(
    /precision +the gradients of 2 products with 131,072 weights take \d+\.\d\d of their time in float32 on this machine, and 131\.1 kB beside 524\.3 kB/,
  );
  const half = await call(['inspect', file, '--precision', 'float16']);
  expect(half.stderr).toContain(
    'inspect does not measure float16. Train a few steps with it and without: --steps 5 --no-eval --provider webgpu.',
  );
  rmSync(folder, { recursive: true });
});

describe('the licence', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-licence-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const checkpoint = path.join(import.meta.dirname, '../../../build/fixtures/resnet-basic');
  const copy = (name: string): string => {
    cpSync(checkpoint, path.join(folder, name), { recursive: true });
    return path.join(folder, name);
  };

  it('is that of the file, as exporters of YOLO write it', async () => {
    const file = path.join(folder, 'yolo.onnx');
    const { onnx } = await openModel(vit);
    const said = { license: 'AGPL-3.0 License (https://ultralytics.com/license)', author: 'Ultralytics' };
    const metadataProps = Object.entries(said).map(([key, value]) => ({ key, value }));
    writeOnnx(file, { ...onnx.model, metadataProps });
    const { stdout } = await call(['inspect', file]);
    expect(stdout).toContain("licence     AGPL-3.0 License (https://ultralytics.com/license), by Ultralytics, as the file's metadata says; the weights stay under it, and so do files merged from them\n"); // prettier-ignore
    expect(await callJson('inspect', file)).toMatchObject({
      licence: { name: said.license, author: said.author, source: "the file's metadata" },
    });
  });

  it('is that of the card beside it', async () => {
    const model = copy('card');
    const readme = path.join(model, 'README.md');
    writeFileSync(readme, '---\nlicense: apache-2.0\ntags: [vision]\n---\n# A model\n');
    expect((await call(['inspect', model])).stdout).toContain('licence     apache-2.0, as README.md says\n');
    writeFileSync(readme, '---\nlicense: other\nlicense_name: my-terms\n---\n');
    expect((await call(['inspect', model])).stdout).toContain('licence     my-terms, as README.md says\n');
    writeFileSync(readme, '---\n{{{\n---\n');
    expect((await call(['inspect', model])).stdout).not.toMatch(/^licence/m);
  });

  it('is that in the weights’ file', async () => {
    const model = copy('weights');
    const file = path.join(model, 'model.safetensors');
    const bytes = readFileSync(file);
    const length = Number(bytes.readBigUInt64LE());
    const header = JSON.parse(bytes.toString('utf8', 8, 8 + length)) as object;
    const text = Buffer.from(JSON.stringify({ ...header, __metadata__: { format: 'pt', license: 'cc-by-nc-4.0' } }));
    const start = Buffer.alloc(8);
    start.writeBigUInt64LE(BigInt(text.length));
    writeFileSync(file, Buffer.concat([start, text, bytes.subarray(8 + length)]));
    const { stdout } = await call(['inspect', model]);
    expect(stdout).toContain('licence     cc-by-nc-4.0, as model.safetensors says; the weights stay under it');
  });
});
