/** @file Tests of `quantize`: the file, the report, and that other commands take the file as they take its base. */

import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import type { ModuleInfo, QuantizeResult } from '@onnx-lora/sdk';
import { describe, expect, it } from 'vitest';
import { writeDigits } from '../../../../test/fixtures/digits.ts';
import { call, callJson, temporaryFolder, vit } from '../../fixtures/call.ts';

it.each([
  ['8', 'int8', 2.5],
  ['4', 'uint4, blocks of 32', 4],
  ['nf4', '4-bit floats, blocks of 64', 4.4],
] as const)('%s bits', async (bits, storage, smaller) => {
  const out = path.join(temporaryFolder(), 'vit');
  const result = await callJson<QuantizeResult>('quantize', vit, '--bits', bits, '--out', out);
  expect(result.files[0]).toBe(path.join(out, 'onnx', 'model.onnx'));
  expect(readdirSync(out).sort()).toEqual(['config.json', 'onnx', 'preprocessor_config.json']);
  expect(result.layers).toHaveLength(36);
  expect(result.kept).toEqual([{ module: 'classifier', reason: 'has a weight of 960 numbers only' }]);
  expect(result.bytesBefore / result.bytesAfter).toBeGreaterThan(smaller);
  const [before, after] = [
    await callJson<{ modules: ModuleInfo[] }>('inspect', vit),
    await callJson<{ modules: ModuleInfo[]; family: string }>('inspect', out),
  ];
  expect(after.family).toBe('vit');
  expect(after.modules.map((each) => each.path)).toEqual(before.modules.map((each) => each.path));
  expect(after.modules.filter((each) => each.storage === storage)).toHaveLength(36);
});

it('says what the file is, and which layers are off most', async () => {
  const out = path.join(temporaryFolder(), 'vit.onnx');
  const { code, stdout, stderr } = await call(['quantize', vit, '--bits', 'NF4', '--block-size', '32', '--exclude-modules', 'query,key', '--out', out]); // prettier-ignore
  expect([code, stderr]).toEqual([0, '']);
  const lines = stdout.trimEnd().split('\n');
  expect(lines[0]).toMatch(/^Wrote .*vit\.onnx: 24 layers in fewer bits, 2\.3 MB → \d+\.\d kB\.$/);
  expect(lines[1]).toMatch(/^Off most: +weight$/);
  expect(lines.slice(2, 7)).toEqual(new Array(5).fill(expect.stringMatching(/^ {2}vit\.encoder\.layer\.\S+ +\d\.\d+%$/))); // prettier-ignore
  expect(lines.slice(7)).toEqual(['As it was, 1:', '  classifier has a weight of 960 numbers only']);
});

it('measures what layers give on data', async () => {
  const folder = temporaryFolder();
  const [out, digits] = [path.join(folder, 'vit.onnx'), path.join(folder, 'digits')];
  writeDigits(digits, { perClass: 6 });
  const flags = ['--data', digits, '--examples', '6'];
  const result = await callJson<QuantizeResult>('quantize', vit, '--bits', '8', ...flags, '--out', out);
  expect(result.layers.map(({ outputError }) => outputError! > 1e-4 && outputError! < 0.05)).toEqual(new Array(36).fill(true)); // prettier-ignore
  const { stdout } = await call(['quantize', vit, '--bits', '8', ...flags, '--out', out, '--overwrite']);
  expect(stdout).toMatch(/^Off most: +output +weight$/m);
  const refused = await call(['quantize', vit, '--bits', '8', '--examples', '6', '--out', out]);
  expect([refused.code, refused.stderr]).toEqual([2, expect.stringMatching(/--examples says how many of --data/)]);
});

it('writes a model that reads digits as its base does', async () => {
  const folder = temporaryFolder();
  const digits = path.join(folder, 'digits');
  writeDigits(digits, { perClass: 10 });
  const accuracy = async (model: string): Promise<number> =>
    (await callJson<{ accuracy: number }>('eval', model, '--data', digits)).accuracy;
  const before = await accuracy(vit);
  for (const bits of ['8', '4', 'nf4']) {
    const out = path.join(folder, bits);
    await callJson('quantize', vit, '--bits', bits, '--out', out);
    expect(Math.abs((await accuracy(out)) - before)).toBeLessThanOrEqual(0.02);
  }
  expect(before).toBeGreaterThan(0.9);
});

it("writes LoftQ's adapter beside, with which training begins", async () => {
  const folder = temporaryFolder();
  const [out, digits, run] = [path.join(folder, 'vit'), path.join(folder, 'digits'), path.join(folder, 'run')];
  writeDigits(digits, { perClass: 4, turned: true });
  const flags = ['quantize', vit, '--bits', 'nf4', '--loftq-rank', '8', '--loftq-iterations', '2', '--out', out];
  const { layers, adapter } = await callJson<Omit<QuantizeResult, 'adapter'> & { adapter: string }>(...flags);
  expect(adapter).toBe(path.join(out, 'loftq'));
  expect(layers.every(({ error, errorWithAdapter }) => errorWithAdapter! < 0.85 * error)).toBe(true);
  const refused = await call(flags);
  expect([refused.code, refused.stderr]).toEqual([2, expect.stringMatching(/adapter_config\.json" is there already/)]);
  const { stdout } = await call([...flags, '--overwrite']);
  expect(stdout).toMatch(/^Off most: +weight +with the adapter$/m);
  expect(stdout).toContain(`Wrote ${adapter}: the adapter to begin with (train ${out} --from ${adapter}).`);
  const trained = await callJson<{ steps: number }>('train', out, '--from', adapter, '--data', digits, '--steps', '2', '--out', run); // prettier-ignore
  expect(trained.steps).toBe(2);
  const other = await call(['eval', vit, '--adapter', run, '--data', digits]);
  expect([other.code, other.stderr]).toEqual([2, expect.stringMatching(/had lost to rounding \(LoftQ\)/)]);
});

describe('is refused', () => {
  it.each([
    [[], /--bits is missing: say 8, 4, nf4/],
    [['--bits', '3'], /--bits must be one of 8, 4, nf4, but it is "3"/],
    [['--bits', '4', '--block-size', 'x'], /--block-size must be a number, but it is "x"/],
    [['--bits', '4', '--block-size', '33'], /must be one of 16, 32, 64, 128, 256/],
    [['--bits', '8', '--block-size', '32'], /is for 4 bits and nf4/],
    [['--bits', '4', '--targets', 'nowhere'], /nowhere/],
    [['--bits', '4', '--loftq-iterations', '5'], /--loftq-iterations is of use with --loftq-rank only/],
    [['--bits', '4', '--loftq-rank', '0'], /must be a whole number of at least 1/],
    [['--bits', '4', '--max-error', '0.01'], /No layer of .* can be quantised/],
  ])('%j', async (flags, message) => {
    const out = path.join(temporaryFolder(), 'vit');
    const { code, stderr } = await call(['quantize', vit, ...flags, '--out', out]);
    expect([code, stderr.replaceAll(/\s+/g, ' ')]).toEqual([2, expect.stringMatching(message)]);
    expect(existsSync(out)).toBe(false);
  });
  it('without a place', async () => {
    expect((await call(['quantize', vit, '--bits', '4'])).stderr).toMatch(/--out is missing/);
  });
  it('a place that is taken', async () => {
    const out = path.join(temporaryFolder(), 'vit.onnx');
    const flags = ['quantize', vit, '--bits', '4', '--out', out];
    await call(flags);
    expect((await call(flags)).stderr).toMatch(/is there already/);
    expect((await call([...flags, '--overwrite'])).code).toBe(0);
  });
});
