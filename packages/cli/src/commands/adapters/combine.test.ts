/** @file Tests of `onnx-lora combine`: what it writes, and what it says about mistakes. */

import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { float32, loadAdapter } from '@onnx-lora/sdk';
import { writeSafetensors } from '@onnx-lora/sdk/data';
import { beforeEach, describe, expect, it } from 'vitest';
import { call, callJson, temporaryFolder } from '../../../fixtures/call.ts';

let folder = '';
const at = (name: string): string => path.join(folder, name);

/** Saves y = s·B·A of a layer with one input and two outputs, so that deltas can be read off. */
async function save(name: string, [first, second]: readonly [number, number], config: object = {}): Promise<void> {
  mkdirSync(at(name));
  const fields = { peft_type: 'LORA', r: 1, lora_alpha: 2, target_modules: ['q'], ...config };
  writeFileSync(path.join(at(name), 'adapter_config.json'), JSON.stringify(fields));
  const tensors = new Map([
    ['base_model.model.q.lora_A.weight', float32([0.5], [1, 1])],
    ['base_model.model.q.lora_B.weight', float32([first, second], [2, 1])],
    ...('use_dora' in config ? [['base_model.model.q.lora_magnitude_vector', float32([1, 1], [2])] as const] : []),
  ]);
  await writeSafetensors(path.join(at(name), 'adapter_model.safetensors'), tensors);
}

/** The delta of `q` that a saved adapter has. */
async function delta(name: string): Promise<number[]> {
  const { config, tensors } = await loadAdapter(at(name));
  const [A, B] = ['lora_A', 'lora_B'].map((each) => tensors.get(`base_model.model.q.${each}.weight`)!);
  const r = A!.dims[0]!;
  return [0, 1].map((o) => {
    let sum = 0;
    for (let k = 0; k < r; k++) sum += (B!.data[o * r + k] as number) * (A!.data[k] as number);
    return (config.loraAlpha / r) * sum;
  });
}

beforeEach(async () => {
  folder = temporaryFolder();
  await save('cats', [1, 2]);
  await save('birds', [10, -4]);
});

describe('combine', () => {
  it('adds up, each with its weight', async () => {
    const result = await callJson(
      'combine',
      at('cats'),
      at('birds'),
      '--weight',
      '0.5',
      '--weight',
      '-0.1',
      '-o',
      at('both'),
    );
    expect(result).toEqual({ out: at('both'), method: 'linear', weights: [0.5, -0.1], rank: 2, parameters: 6 });
    expect(readdirSync(at('both')).sort()).toEqual(['adapter_config.json', 'adapter_model.safetensors']);
    const [first, second] = await delta('both');
    expect(first).toBeCloseTo(-0.5, 6);
    expect(second).toBeCloseTo(1.4, 6);
  });

  it('weighs all alike without weights, takes commas, and writes an .onnx_adapter', async () => {
    const { stdout } = await call(['combine', at('cats'), at('birds'), '-o', at('sum')]);
    expect(stdout).toBe(`Wrote ${at('sum')}: 2 adapters in one of rank 2, 6 parameters.\n`);
    expect(await delta('sum')).toEqual([11, -2]);
    await callJson('combine', at('cats'), at('birds'), '--weight=1,-1', '-o', at('difference.onnx_adapter'));
    expect(await delta('difference.onnx_adapter')).toEqual([-9, 6]);
  });

  it('cuts to a rank, prunes, and gives what PEFT gives', async () => {
    const both = [at('cats'), at('birds')];
    await callJson('combine', ...both, '--method', 'svd', '--rank', '1', '-o', at('svd'));
    const [a, b] = await delta('svd');
    expect([a, b].map((value) => Number(value!.toFixed(5)))).toEqual([11, -2]);
    await callJson(
      'combine',
      ...both,
      '--method',
      'magnitude_prune',
      '--density',
      '0.5',
      '--rank',
      'full',
      '-o',
      at('pruned'),
    );
    const pruned = await delta('pruned');
    expect(pruned.map((value) => Number(value.toFixed(5)))).toEqual([10, 2]);
    // (0.5 + 0.5)·√2 times (1 + 10)·√2, where 11 would be right: cross terms.
    await callJson('combine', ...both, '--compat', 'peft', '-o', at('peft'));
    expect((await delta('peft')).map((value) => Number(value.toFixed(4)))).toEqual([22, -4]);
  });
});

describe('mistakes', () => {
  it.each<[string, string[], string]>([
    [
      'one weight for two',
      ['--weight', '1'],
      '2 adapters are named, but the number of weights is 1. Give --weight once per adapter',
    ],
    ['a weight that is none', ['--weight', '1,x'], '--weight must be a number, but it is "x".'],
    ['an unknown method', ['--method', 'tise', '--density', '0.5'], 'There is no method "tise". Did you mean "ties"'],
    ['no density', ['--method', 'ties'], 'needs a density'],
    ['a rank for an exact method', ['--rank', '3'], 'Leave rank out, or choose "svd"'],
    ['a rank of nothing', ['--method', 'svd', '--rank', '0'], 'The rank is 0; it must be a whole number of at least 1'],
    ['an unknown tool', ['--compat', 'pfet'], 'compat is "pfet"; it must be "peft"'],
  ])('%s', async (_, flags, message) => {
    const { code, stdout, stderr } = await call(['combine', at('cats'), at('birds'), '-o', at('out'), ...flags]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(message);
    expect(existsSync(at('out'))).toBe(false);
  });

  it('of where to write', async () => {
    const { stderr: missing } = await call(['combine', at('cats')]);
    expect(missing).toContain('--out is missing');
    const { code, stderr } = await call(['combine', at('cats'), at('birds'), '-o', at('cats')]);
    expect(code).toBe(2);
    expect(stderr).toContain('is an adapter that is read here, and would be overwritten');
    expect(await delta('cats')).toEqual([1, 2]);
  });

  it('of what to combine: DoRA is named with the reason', async () => {
    await save('dora', [1, 1], { use_dora: true });
    const { code, stderr } = await call(['combine', at('cats'), at('dora'), '-o', at('out')]);
    expect(code).toBe(2);
    expect(stderr.replaceAll(folder, 'FOLDER')).toMatchInlineSnapshot(`
      "error: Adapter "FOLDER/dora" is DoRA, which cannot be combined: a magnitude multiplies the whole weight, so the adapter's change is no sum of low-rank products. Serve the adapter as it is, or train it without DoRA.
      More: onnx-lora explain INPUT_INVALID
      "
    `);
  });
});
