/** @file `onnx-lora generate`, and `inspect` of a LoRA file. */

import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { openPipeline } from '@onnx-lora/diffusion';
import { SharpDecoder } from '@onnx-lora/vision';
import { describe, expect, it } from 'vitest';
import { loraFile, sdTiny } from '../../../diffusion/fixtures/oracle.ts';
import { call } from '../../fixtures/call.ts';

const style = loraFile('kohya');

describe('generate', () => {
  it('writes the pictures of the pipeline', async () => {
    const out = path.join(mkdtempSync(path.join(tmpdir(), 'generate-')), 'pictures');
    const { code, stdout, stderr } = await call(['generate', sdTiny, '--prompt', 'red owl', '--steps', '2', '--seed', '5', '--count', '2', '--adapter', `${style}:0.5`, '--out', out, '--json']); // prettier-ignore
    expect([code, stderr]).toEqual([0, expect.any(String)]);
    const { pictures } = JSON.parse(stdout) as { pictures: { file: string; seed: number }[] };
    expect(pictures.map(({ file, seed }) => [path.basename(file), seed])).toEqual([['red-owl-5.png', 5], ['red-owl-6.png', 6]]); // prettier-ignore
    const own = await openPipeline(sdTiny);
    await own.add('style', style);
    const [expected] = await own.generate({ prompts: 'red owl', steps: 2, seed: 6, adapter: { style: 0.5 } });
    expect((await new SharpDecoder().decode(pictures[1]!.file)).data).toEqual(expected!.data);
    await own.release();
    const again = await call(['generate', sdTiny, '--prompt', 'red owl', '--steps', '2', '--seed', '5', '--out', out]);
    expect([again.code, again.stderr]).toEqual([2, expect.stringContaining('red-owl-5.png" is there already')]);
    const changed = await call(['generate', sdTiny, '--prompt', 'red owl', '--steps', '2', '--image', pictures[0]!.file, '--strength', '0.5', '--out', `${out}2`]); // prettier-ignore
    expect(changed.code).toBe(0);
    expect(
      readFileSync(path.join(`${out}2`, 'red-owl-0.png'))
        .subarray(1, 4)
        .toString(),
    ).toBe('PNG');
  }, 60_000);

  it('inspect says what a LoRA file is', async () => {
    const { code, stdout } = await call(['inspect', loraFile('locon')]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/layout +kohya/);
    expect(stdout).toMatch(/base +Stable Diffusion 1/);
    expect(stdout).toMatch(/trainer: lycoris\.kohya/);
  });
});

it('a prompt must be given', async () => {
  const { code, stderr } = await call(['generate', 'models/sd']);
  expect([code, stderr]).toEqual([2, expect.stringContaining('--prompt is missing')]);
});
