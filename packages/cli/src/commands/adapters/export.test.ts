/** @file Tests of `merge` with several adapters, `unmerge` and `export`. */

import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { float32 } from '@onnx-lora/sdk';
import { type Value, GraphBuilder } from '@onnx-lora/sdk/tasks';
import { type AttributeProto, inferNode, type ValueInfoProto, writeOnnx } from '@onnx-lora/sdk/plugin';
import { describe, expect, it } from 'vitest';
import { call, callJson, temporaryFolder } from '../../../fixtures/call.ts';

const given = fileURLToPath(new URL('../../../../../test/fixtures/cases/lora-linear', import.meta.url));
const [model, adapter] = [path.join(given, 'model.onnx'), path.join(given, 'adapter')];

it('merges several adapters by weight, and takes them out again', async () => {
  const folder = temporaryFolder();
  const [both, back] = [path.join(folder, 'both.onnx'), path.join(folder, 'back.onnx')];
  const flags = ['--adapter', adapter, '--adapter', adapter, '--weight', '0.7,0.3'];
  const merged = await callJson<{ modules: string[]; rounding: unknown[] }>('merge', model, ...flags, '-o', both);
  expect(merged).toMatchObject({ files: [both], rounding: [], untied: [], beside: [] });
  expect(merged.modules).toHaveLength(8);
  await callJson('unmerge', both, ...flags, '-o', back);
  expect(existsSync(back)).toBe(true);
});

it('exports', async () => {
  const out = path.join(temporaryFolder(), 'm.onnx');
  const result = await callJson<{ adapters: Record<string, string>; inputs: string[] }>('export', model, '--adapter', adapter, '-o', out); // prettier-ignore
  expect(result.inputs).toHaveLength(16);
  expect(existsSync(result.adapters['adapter']!)).toBe(true);
});

it('exports for Triton', async () => {
  const folder = path.join(temporaryFolder(), 'repository');
  const words = ['export', model, '--adapter', adapter, '--triton', folder];
  const result = await callJson<{ model: string; adapters: string[]; files: string[] }>(...words);
  expect(result).toMatchObject({ model: 'model', adapters: ['adapter'] });
  expect(result.files.every((file) => existsSync(file))).toBe(true);
  expect(await call(words)).toMatchObject({ code: 2, stderr: expect.stringContaining('is there already') });
  const both = await call([...words, '-o', 'm.onnx']);
  expect([both.code, both.stderr.replaceAll(/\s+/g, ' ')]).toEqual([2, expect.stringContaining('--triton')]);
  const { stdout } = await call([...words, '--overwrite']);
  expect(stdout).toContain(`Wrote ${folder}: model, adapter are models that clients may ask.`);
});

it.each([
  [['merge', '--weight', '1,2'], /1 adapter is named, but the number of weights is 2/],
  [['unmerge', '--weight', 'x'], /--weight must be a number/],
  [['export', '--adapter', `${adapter}/`], /Two adapters are called "adapter"/],
])('%s is refused', async ([command, ...flags], message) => {
  const out = path.join(temporaryFolder(), 'm.onnx');
  const { code, stderr } = await call([command!, model, '--adapter', adapter, ...flags, '-o', out]);
  expect(code).toBe(2);
  expect(stderr).toMatch(message);
  expect(existsSync(out)).toBe(false);
});

describe('--fix', () => {
  // As detectors of speech have it: another branch for each sampling rate.
  const file = (): string => {
    const g = new GraphBuilder({ opset: 18, infer: inferNode, prefix: 'n/' });
    const rate: Value = { name: 'sr', type: 'int64', shape: [] };
    const x: Value = { name: 'x', type: 'float32', shape: ['batch', 2] };
    const branch = (name: string, values: number[]): AttributeProto => {
      const inner = new GraphBuilder({ opset: 18, infer: inferNode, prefix: `/${name}/` });
      const y = inner.MatMul(x, inner.constant(float32(values, [2, 2])));
      return { name, type: 5, g: { name, node: inner.nodes, initializer: [...inner.initializers], output: [{ name: y.name }] } }; // prettier-ignore
    };
    const wanted = g.Equal(rate, g.scalar(16000, 'int64'));
    const attribute = [branch('then_branch', [1, 2, 3, 4]), branch('else_branch', [5, 6, 7, 8])];
    g.nodes.push({ opType: 'If', name: '/If', input: [wanted.name], output: ['y'], attribute });
    const port = ({ name, type, shape }: Value): ValueInfoProto => ({
      name,
      type: { tensorType: { elemType: type === 'int64' ? 7 : 1, shape: { dim: shape!.map((dim) => (typeof dim === 'number' ? { dimValue: dim } : { dimParam: dim })) } } },
    }); // prettier-ignore
    const out = path.join(temporaryFolder(), 'rates.onnx');
    writeOnnx(out, { irVersion: 8, opsetImport: [{ domain: '', version: 18 }], graph: { name: 'rates', node: g.nodes, initializer: [...g.initializers], input: [x, rate].map(port), output: [port({ ...x, name: 'y' })] } }); // prettier-ignore
    return out;
  };
  it('takes the input and the other branch away', async () => {
    const whole = await callJson<{ inputs: object; modules: unknown[] }>('inspect', file());
    expect(Object.keys(whole.inputs)).toEqual(['x', 'sr']);
    const fixed = await callJson<{ inputs: object; modules: unknown[] }>('inspect', file(), '--fix', 'sr=16000');
    expect(Object.keys(fixed.inputs)).toEqual(['x']);
    expect(fixed.modules).toHaveLength(1);
  });
  it.each([
    ['rate=16000', /has no input "rate" to fix.*Its inputs are x, sr/],
    ['sr=often', /--fix sr must be a number, true or false, or several with commas between, but it is "often"/],
    ['sr=1.5', /it takes whole numbers/],
    ['sr', /cannot be fixed to true: it takes whole numbers/],
  ])('%s is refused', async (value, message) => {
    const { code, stderr } = await call(['inspect', file(), '--fix', value]);
    expect([code, stderr.replaceAll(/\s+/g, ' ')]).toEqual([2, expect.stringMatching(message)]);
  });
});
