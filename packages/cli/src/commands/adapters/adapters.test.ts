/** @file Tests of what is done with a trained adapter: predict, merge, convert, run; all must agree. */

import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync, mkdtempSync, rmSync } from 'node:fs';
import path from 'node:path';
import { Adapter, float32, loadAdapter, stack } from '@onnx-lora/sdk';
import { readSafetensors, writeSafetensors } from '@onnx-lora/sdk/data';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tmpdir } from 'node:os';
import { writeDigits } from '../../../../../test/fixtures/digits.ts';
import { call, callJson, temporaryFolder, vit } from '../../../fixtures/call.ts';

/** A folder with digits and a run that has learnt a little. */
let shared = '';
let files: string[] = [];
const at = (name: string): string => path.join(shared, name);

beforeAll(async () => {
  shared = mkdtempSync(path.join(tmpdir(), 'onnx-lora-cli-'));
  files = writeDigits(at('digits'), { perClass: 2, from: 830, turned: true });
  await callJson(
    'train',
    vit,
    '--data',
    at('digits'),
    '--out',
    at('run'),
    '--steps',
    '6',
    '--lr',
    '5e-3',
    '--threads',
    '1',
  );
});
afterAll(() => rmSync(shared, { recursive: true, force: true }));

/** Logits of the digits, by way of `preprocess` and `run`. */
async function logits(model: string, ...flags: string[]): Promise<Float32Array> {
  const folder = temporaryFolder();
  const pixels = path.join(folder, 'pixels.safetensors');
  const feeds = path.join(folder, 'feeds.safetensors');
  const outputs = path.join(folder, 'outputs.safetensors');
  await callJson('preprocess', vit, ...files, '-o', pixels);
  const { tensors } = await readSafetensors(pixels);
  await writeSafetensors(feeds, new Map([['pixel_values', stack(files.map((file) => tensors.get(file)!))]]));
  await callJson('run', model, '--feeds', feeds, '-o', outputs, '--threads', '1', ...flags);
  return (await readSafetensors(outputs)).tensors.get('logits')!.data as Float32Array;
}

function furthest(a: Float32Array, b: Float32Array): number {
  expect(a).toHaveLength(b.length);
  return a.reduce((most, each, i) => Math.max(most, Math.abs(each - b[i]!)), 0);
}

describe('predict', () => {
  it('answers as eval counts', async () => {
    const answers = await callJson<{ file: string; label: string; score: number }[]>(
      'predict',
      vit,
      ...files,
      '--adapter',
      at('run'),
      '--batch-size',
      '7',
    );
    expect(answers.map(({ file }) => file)).toEqual(files);
    const right = answers.filter(({ file, label }) => path.basename(path.dirname(file)) === label);
    const { accuracy } = await callJson<{ accuracy: number }>(
      'eval',
      vit,
      '--data',
      at('digits'),
      '--adapter',
      at('run'),
      '--split',
      'all',
    );
    expect(right.length / files.length).toBeCloseTo(accuracy, 10);
  });

  it('gives the scores that softmax makes of the logits', async () => {
    const row = (await logits(vit)).slice(0, 10);
    const [answer] = await callJson<{ label: string; score: number }[]>('predict', vit, files[0]!);
    const exps = [...row].map(Math.exp);
    const best = row.indexOf(Math.max(...row));
    expect(answer!.label).toBe(String(best));
    expect(answer!.score).toBeCloseTo(exps[best]! / exps.reduce((a, b) => a + b), 5);
  });

  it('prints a line per file', async () => {
    const { stdout } = await call(['predict', vit, ...files.slice(0, 2)]);
    expect(stdout.trimEnd().split('\n')).toEqual(
      files.slice(0, 2).map((file) => expect.stringMatching(new RegExp(`^\\d  \\S+ +${file}$`))),
    );
  });
});

it('merge gives the model with the adapter', async () => {
  const out = path.join(temporaryFolder(), 'merged.onnx');
  await callJson('merge', '--model', vit, '--adapter', at('run'), '--out', out);
  const adapted = await logits(vit, '--adapter', at('run'));
  expect(furthest(await logits(out), adapted)).toBeLessThan(1e-4);
  expect(furthest(await logits(vit), adapted)).toBeGreaterThan(0.1);
});

it('what is there is not overwritten unasked', async () => {
  const folder = temporaryFolder();
  const to = (name: string): string => path.join(folder, name);
  const run = at('run');
  const feeds = to('feeds.safetensors');
  await writeSafetensors(feeds, new Map([['pixel_values', float32(new Float32Array(3 * 28 * 28), [1, 3, 28, 28])]]));
  const writers: [place: string, words: string[]][] = [
    ['lone.onnx', ['merge', vit, '--adapter', run, '-o', to('lone.onnx')]],
    ['whole/onnx/model.onnx', ['merge', vit, '--adapter', run, '-o', to('whole')]],
    ['back.onnx', ['unmerge', to('lone.onnx'), '--adapter', run, '-o', to('back.onnx')]],
    ['both/adapter_config.json', ['combine', run, run, '-o', to('both')]],
    ['both.onnx_adapter', ['combine', run, run, '-o', to('both.onnx_adapter')]],
    ['a.onnx_adapter', ['convert', run, to('a.onnx_adapter')]],
    ['peft/adapter_config.json', ['convert', to('a.onnx_adapter'), to('peft')]],
    ['served/run.onnx_adapter', ['export', vit, '--adapter', run, '-o', to('served/vit.onnx')]],
    ['pixels.safetensors', ['preprocess', vit, files[0]!, '-o', to('pixels.safetensors')]],
    ['out.safetensors', ['run', vit, '--feeds', feeds, '-o', to('out.safetensors')]],
  ];
  for (const [place, words] of writers) {
    await callJson(...words);
    const mine = Buffer.from(place);
    writeFileSync(to(place), mine);
    const { code, stderr } = await call(words);
    expect([words[0], code]).toEqual([words[0], 2]);
    expect(stderr).toMatch(/" is there already\. Name another place, or .*--overwrite/);
    expect(readFileSync(to(place)).equals(mine)).toBe(true);
    await callJson(...words, '--overwrite');
    expect(readFileSync(to(place)).equals(mine)).toBe(false);
  }
});

describe('convert', () => {
  it('there and back gives the same forward numbers, bit by bit', async () => {
    const folder = temporaryFolder();
    const [ort, peft] = [path.join(folder, 'a.onnx_adapter'), path.join(folder, 'peft')];
    await callJson('convert', at('run'), ort);
    await callJson('convert', ort, peft);
    expect(readdirSync(peft).sort()).toEqual(['adapter_config.json', 'adapter_model.safetensors']);
    const adapted = await logits(vit, '--adapter', at('run/adapter'));
    expect(await logits(vit, '--adapter', ort)).toEqual(adapted);
    expect(await logits(vit, '--adapter', peft)).toEqual(adapted);
  });

  it.each([
    ['run', 'other', 'would be one too'],
    ['a.onnx_adapter', 'b.onnx_adapter', 'is an .onnx_adapter already'],
    ['run', 'taken.onnx_adapter', 'is a folder. Name a file'],
  ])('%s to %s is refused', async (from, to, message) => {
    const folder = temporaryFolder();
    mkdirSync(path.join(folder, 'taken.onnx_adapter'));
    const { code, stderr } = await call(['convert', at(from), path.join(folder, to)]);
    expect(code).toBe(2);
    expect(stderr).toContain(message);
  });

  it('gives modules the names of the other version of transformers, and back', async () => {
    const folder = temporaryFolder();
    const [v5, v4] = [path.join(folder, 'v5'), path.join(folder, 'v4')];
    const names = async (adapter: string): Promise<string[]> =>
      [...(await readSafetensors(path.join(adapter, 'adapter_model.safetensors'))).tensors.keys()].sort();
    const result = await callJson('convert', at('run'), v5, '--names', '5', '--model', vit);
    expect(result).toMatchObject({ out: v5, format: 'peft', names: 5 });
    const renamed = await names(v5);
    expect(renamed.filter((name) => /^base_model\.model\.vit\.layers\.\d+\.attention\.[qv]_proj\./.test(name))).toEqual(
      renamed,
    );
    const adapted = await logits(vit, '--adapter', at('run'));
    expect(await logits(vit, '--adapter', v5)).toEqual(adapted);
    const { stdout } = await call(['convert', v5, v4, '--names=4', '--model', vit]);
    expect(stdout).toMatch(/^Wrote .*v4: [\d,]+ parameters, under the names of transformers 4\.\n$/);
    expect(await names(v4)).toEqual(await names(at('run/adapter')));
    const { stdout: same } = await call(['convert', v4, path.join(folder, 'again'), '--names=4', '--model', vit]);
    expect(same).toContain('; its names are those of transformers 4 already.');
  });

  it.each([
    [
      'another version',
      ['--names', '3', '--model', vit],
      '--names must be 4 or 5, a version of transformers, but it is "3".',
    ],
    ['no model', ['--names', '5'], '--names needs the base model, whose family knows the names of both. Add --model.'],
    ['a model without names', ['--model', vit], '--model is of use with --names only.'],
  ])('with %s is refused', async (_, flags, message) => {
    const out = path.join(temporaryFolder(), 'out');
    const { code, stderr } = await call(['convert', at('run'), out, ...flags]);
    expect({ code, exists: existsSync(out) }).toEqual({ code: 2, exists: false });
    expect(stderr).toContain(message);
  });

  it('makes an adapter plain that PEFT trained on a base it had changed', async () => {
    const folder = temporaryFolder();
    const [zeros, initial] = [path.join(folder, 'zeros'), path.join(folder, 'initial')];
    const trained = await loadAdapter(at('run/adapter'));
    const { r, loraAlpha: alpha } = trained.config;
    const pissa = { ...trained.config, initLoraWeights: 'pissa' };
    const emptied = [...trained.tensors].map(
      ([name, each]) => [name, { ...each, data: new Float32Array(each.data.length) }] as const,
    );
    await new Adapter(pissa, new Map(emptied)).save(zeros);
    // An adapter of zeros leaves only the part taken out of the base: the initial values, B with the opposite sign.
    await callJson('convert', zeros, path.join(folder, 'taken'), '--plain-from', vit);
    const taken = await loadAdapter(path.join(folder, 'taken'));
    const firsts = [...trained.tensors].map(([name, { type, dims }]) => {
      const { data, dims: both } = taken.tensors.get(name)!;
      const isA = name.includes('lora_A');
      const values = Array.from(data as Float32Array).filter((_, i) =>
        isA ? i >= data.length / 2 : i % both[1]! >= dims[1]!,
      );
      return [name, { type, dims, data: Float32Array.from(values, (value) => (isA ? value : -value)) }] as const;
    });
    await new Adapter(pissa, new Map(firsts)).save(initial);

    // An adapter that has not been trained yet gives the base, whichever way it is made plain.
    const base = await logits(vit);
    for (const from of [vit, initial]) {
      const out = path.join(folder, 'plain');
      await callJson('convert', initial, out, '--plain-from', from, '--overwrite');
      expect((await loadAdapter(out)).config).toMatchObject({ r: 2 * r, loraAlpha: 2 * alpha, initLoraWeights: true });
      expect(furthest(await logits(vit, '--adapter', out), base)).toBeLessThan(1e-3);
    }
    const { code, stderr } = await call(['merge', vit, '--adapter', initial, '-o', path.join(folder, 'm.onnx')]);
    expect(code).toBe(2);
    expect(stderr).toContain('counts from a base that its initialisation "pissa" has changed. Make it plain LoRA');
  });

  it('does not write over what it reads', async () => {
    for (const out of [at('run'), at('run/adapter')]) {
      const { code, stderr } = await call(['convert', at('run'), out, '--names', '5', '--model', vit]);
      expect(code).toBe(2);
      expect(stderr).toContain('is an adapter that is read here, and would be overwritten');
    }
  });

  it('refuses what the format cannot hold, and writes nothing', async () => {
    const out = path.join(temporaryFolder(), 'a.onnx_adapter');
    const variant = path.join(temporaryFolder(), 'variant');
    cpSync(at('run/adapter'), variant, { recursive: true });
    const config = path.join(variant, 'adapter_config.json');
    writeFileSync(config, JSON.stringify({ ...JSON.parse(readFileSync(config, 'utf8')), use_qalora: true }));
    const { code, stderr } = await call(['convert', variant, out]);
    expect(code).toBe(2);
    expect(stderr).toContain('(use_qalora), which an .onnx_adapter has no place for. Keep the PEFT folder, or merge');
    expect(existsSync(out)).toBe(false);
  });
});

describe('preprocess', () => {
  it('needs only the file of the preprocessor, and names tensors as the paths were given', async () => {
    const folder = temporaryFolder();
    writeFileSync(
      path.join(folder, 'preprocessor_config.json'),
      JSON.stringify({
        image_processor_type: 'ViTImageProcessor',
        do_resize: false,
        do_rescale: true,
        rescale_factor: 1 / 255,
        do_normalize: false,
      }),
    );
    const out = path.join(folder, 'feeds.safetensors');
    await callJson('preprocess', '--model', folder, files[3]!, '-o', out);
    const { tensors } = await readSafetensors(out);
    expect([...tensors.keys()]).toEqual([files[3]]);
    expect(tensors.get(files[3]!)).toMatchObject({ type: 'float32', dims: [3, 28, 28] });
  });
});

describe('run', () => {
  it.each([
    ['pixels', 'has no tensor "pixel_values"'],
    ['both', 'holds "extra", but '],
  ])('refuses feeds with wrong names: %s', async (which, message) => {
    const folder = temporaryFolder();
    const feeds = path.join(folder, 'feeds.safetensors');
    const tensor = { type: 'float32', dims: [1, 3, 28, 28], data: new Float32Array(3 * 28 * 28) } as const;
    await writeSafetensors(
      feeds,
      new Map(
        which === 'both'
          ? [
              ['pixel_values', tensor],
              ['extra', tensor],
            ]
          : [[which, tensor]],
      ),
    );
    const { code, stderr } = await call(['run', vit, '--feeds', feeds, '-o', path.join(folder, 'out.safetensors')]);
    expect(code).toBe(2);
    expect(stderr).toContain(message);
    expect(existsSync(path.join(folder, 'out.safetensors'))).toBe(false);
  });
});
