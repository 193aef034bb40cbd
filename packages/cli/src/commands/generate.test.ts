/** @file `onnx-lora generate`, and `inspect` of a LoRA file. */

import { existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { openPipeline } from '@onnx-lora/diffusion';
import { encodePng, ImageFileDecoder } from '@onnx-lora/vision';
import { describe, expect, it } from 'vitest';
import { call } from '../../fixtures/call.ts';

const fixtures = path.join(import.meta.dirname, '../../../diffusion/fixtures');
const sdTiny = path.join(fixtures, 'sd-tiny');
const style = path.join(fixtures, 'formats/kohya/lora.safetensors');

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
    expect((await new ImageFileDecoder().decode(pictures[1]!.file)).data).toEqual(expected!.data);
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

  it('trains on pictures with captions, and the run makes pictures', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'generate-'));
    const data = path.join(folder, 'sketches');
    mkdirSync(data);
    for (const i of [0, 1, 2, 3]) {
      const pixels = new Uint8Array(20 * 20 * 3).fill(60 * i);
      writeFileSync(path.join(data, `${i}.png`), await encodePng({ width: 20, height: 20, data: pixels }));
    }
    writeFileSync(path.join(data, 'metadata.jsonl'), [0, 1, 2, 3].map((i) => JSON.stringify({ file_name: `${i}.png`, text: 'a red owl' })).join('\n')); // prettier-ignore
    const out = path.join(folder, 'run');
    const trained = await call(['train', sdTiny, '--data', data, '--steps', '2', '--r', '2', '--out', out, '--quiet']);
    expect([trained.code, trained.stderr]).toEqual([0, '']);
    const made = await call(['generate', sdTiny, '--prompt', 'owl', '--steps', '1', '--adapter', out, '--out', folder, '--json']); // prettier-ignore
    expect([made.code, existsSync(path.join(folder, 'owl-0.png'))]).toEqual([0, true]);
  }, 120_000);

  it('inspect says what a LoRA file is', async () => {
    const { code, stdout } = await call(['inspect', path.join(fixtures, 'formats/locon/lora.safetensors')]);
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

it('a file is no folder of pictures', async () => {
  const { code, stderr } = await call(['generate', 'models/sd', '--prompt', 'an owl', '--out', 'owl.png']);
  expect(code).toBe(2);
  expect(stderr).toContain('"owl.png" looks like a file');
});
