/** @file Tests of `merge` with several adapters, `unmerge` and `export`. */

import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { call, callJson, temporaryFolder } from '../../fixtures/call.ts';

const given = fileURLToPath(new URL('../../../../test/fixtures/cases/lora-linear', import.meta.url));
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
