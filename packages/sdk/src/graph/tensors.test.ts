/** @file Tensors that nodes, branches and functions hold count as weights: in the digest, and when a model is written. */

import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { OrtRuntime } from '../runtime/ort.ts';
import { float32, int64, type Tensor, tensor } from '../runtime/tensor.ts';
import { weightsDigest } from './file/digest.ts';
import { openOnnx, writeOnnx } from './file/onnxFile.ts';
import { sessionModel } from '../ops/session/sessionModel.ts';
import { attributeType, type GraphProto, type ModelProto, type NodeProto, type ValueInfoProto } from './proto.ts';
import { tensorProto } from './tensorData.ts';

const SIZE = 20;
const W = float32(Float32Array.from({ length: SIZE * SIZE }, (_, i) => Math.sin(i)), [SIZE, SIZE]); // prettier-ignore
const x = float32(new Float32Array(SIZE).fill(1), [1, SIZE]);
/** The sums of W's columns. */
const product = Float32Array.from({ length: SIZE }, (_, column) =>
  Array.from({ length: SIZE }, (__, row) => Math.fround(Math.sin(row * SIZE + column))).reduce((a, b) => a + b),
);

function constant(output: string, value: Tensor): NodeProto {
  return {
    opType: 'Constant',
    input: [],
    output: [output],
    attribute: [{ name: 'value', type: attributeType.tensor, t: tensorProto('value', value) }],
  };
}

const matMul = (weight: string, output: string): NodeProto => ({ opType: 'MatMul', input: ['x', weight], output: [output] }); // prettier-ignore

function port(name: string, dims: readonly number[], elemType = 1): ValueInfoProto {
  return { name, type: { tensorType: { elemType, shape: { dim: dims.map((dimValue) => ({ dimValue })) } } } };
}

function modelOf(graph: GraphProto, more: Partial<ModelProto> = {}): ModelProto {
  const ports = { input: [port('x', [1, SIZE])], output: [port('y', [1, SIZE])] };
  return {
    irVersion: 8,
    opsetImport: [{ domain: '', version: 17 }],
    graph: { name: 'g', ...ports, ...graph },
    ...more,
  };
}

const withInitializer = modelOf({ initializer: [tensorProto('w', W)], node: [matMul('w', 'y')] });
const withConstant = modelOf({ node: [constant('w', W), matMul('w', 'y')] });

const branch = (): GraphProto => ({
  name: 'b',
  node: [constant('bw', W), matMul('bw', 'z')],
  output: [port('z', [1, SIZE])],
});
const branches = ['then_branch', 'else_branch'].map((name) => ({ name, type: attributeType.graph, g: branch() }));
const withBranches = modelOf({
  input: [port('x', [1, SIZE]), port('c', [], 9)],
  node: [{ opType: 'If', input: ['c'], output: ['y'], attribute: branches }],
});
const withFunction = modelOf(
  { node: [{ opType: 'F', domain: 'own', input: ['x'], output: ['y'] }] },
  {
    opsetImport: ['', 'own'].map((domain) => ({ domain, version: domain ? 1 : 17 })),
    functions: [
      {
        name: 'F',
        domain: 'own',
        input: ['x'],
        output: ['y'],
        opsetImport: [{ domain: '', version: 17 }],
        node: [constant('w', W), matMul('w', 'y')],
      },
    ],
  },
);

function temporaryFolder(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-tensors-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

describe('the digest', () => {
  const sha256 = (data: string | Uint8Array): string => createHash('sha256').update(data).digest('hex');
  const ofWeight = sha256(
    Buffer.concat([Buffer.from(`1:${SIZE},${SIZE}:`), Buffer.from(W.data.buffer as ArrayBuffer)]),
  );

  test('is that of the weights alone', () => expect(weightsDigest(withInitializer.graph!)).toBe(sha256(ofWeight)));

  test('is the same for a weight in a Constant node, which optimizers make an initializer', () => {
    expect(weightsDigest(withConstant.graph!)).toBe(sha256(ofWeight));
    expect(weightsDigest(withBranches.graph!)).toBe(sha256([ofWeight, ofWeight].join('\n')));
  });

  test('changes with the values in a Constant node', () => {
    const other = modelOf({ node: [constant('w', float32(new Float32Array(SIZE * SIZE), [SIZE, SIZE])), matMul('w', 'y')] }); // prettier-ignore
    expect(weightsDigest(other.graph!)).not.toBe(sha256(ofWeight));
  });

  test('does not change with small constants', () => {
    const shapes = [constant('shape', int64([1, -1], [2])), constant('axes', int64(new Array<number>(31).fill(0), [31]))]; // prettier-ignore
    const { graph } = withInitializer;
    expect(weightsDigest({ ...graph, node: [...shapes, ...graph!.node!] })).toBe(sha256(ofWeight));
  });
});

describe('weights beside the .onnx file', () => {
  test.each([
    ['an initializer', withInitializer, 1],
    ['a Constant node', withConstant, 1],
    ['branches', withBranches, 2],
    ['a function', withFunction, 1],
  ])('of %s', async (_, model, weights) => {
    const folder = temporaryFolder();
    const file = path.join(folder, 'model.onnx');
    expect(writeOnnx(file, model, 1000)).toEqual([file, `${file}.data`]);
    expect(statSync(`${file}.data`).size).toBe(weights * SIZE * SIZE * 4);
    expect(statSync(file).size).toBeLessThan(1000);
    expect(readdirSync(folder).sort()).toEqual(['model.onnx', 'model.onnx.data']);

    const opened = openOnnx(file).model;
    expect(weightsDigest(opened.graph)).toBe(weightsDigest(model.graph!));
    const session = await new OrtRuntime().createSession({ ...sessionModel(opened), name: 'm' }, { provider: 'cpu', threads: 1 }); // prettier-ignore
    const flag = tensor('bool', Uint8Array.of(1), []);
    const { y } = await session.run(model === withBranches ? { x, c: flag } : { x });
    await session.release();
    expect(Math.max(...product.map((value, i) => Math.abs(value - Number(y!.data[i]))))).toBeLessThan(1e-5);
    // Written once more from there, all in one file.
    const [whole] = writeOnnx(path.join(folder, 'whole.onnx'), opened);
    expect(openOnnx(whole!).model.graph.node).toHaveLength(model.graph!.node!.length);
    expect(weightsDigest(openOnnx(whole!).model.graph)).toBe(weightsDigest(model.graph!));
  });

  test('of sparse initializers, and of lists of tensors, are found too', () => {
    const folder = temporaryFolder();
    const values = tensorProto('s', float32(new Float32Array(400), [400]));
    const indices = tensorProto('i', int64(Array.from({ length: 400 }, (_, i) => i), [400])); // prettier-ignore
    const sparse = { values, indices, dims: [SIZE, SIZE] };
    const attribute = [
      { name: 'sparse_value', type: 11, sparseTensor: sparse },
      { name: 'list', type: 9, tensors: [values, values] },
    ];
    const model = modelOf({ sparseInitializer: [sparse], node: [{ opType: 'Constant', output: ['y'], attribute }] });
    const file = path.join(folder, 'model.onnx');
    writeOnnx(file, model, 0);
    expect(statSync(`${file}.data`).size).toBe(2 * (1600 + 3200) + 2 * 1600);
    expect(weightsDigest(openOnnx(file).model.graph)).toBe(weightsDigest(model.graph!));
  });

  test('with a path out of the folder are refused wherever they stand', () => {
    const folder = temporaryFolder();
    for (const [i, model] of [withConstant, withBranches, withFunction].entries()) {
      const file = path.join(folder, `${i}.onnx`);
      writeOnnx(file, model, 0);
      const bytes = readFileSync(file, 'latin1').replaceAll(`${i}.onnx.data`, '../../w.dat');
      writeFileSync(file, bytes, 'latin1');
      expect(() => openOnnx(file)).toThrow("outside the model's folder");
    }
  });
});
