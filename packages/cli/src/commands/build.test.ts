/** @file Tests of `build`: what it writes and says, what it refuses, and that other commands take the checkpoint itself. */

import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { BuiltModel } from '@onnx-lora/build';
import type { ModuleInfo } from '@onnx-lora/sdk';
import { expect, it } from 'vitest';
import { call, callJson, temporaryFolder } from '../../fixtures/call.ts';

const checkpoint = (name: string): string => path.join(import.meta.dirname, '../../../build/fixtures', name);

it('writes a folder as published models are laid out, and says what it was built by', async () => {
  const out = path.join(temporaryFolder(), 'vit');
  const { code, stdout, stderr } = await call(['build', checkpoint('vit-cls'), '--out', out]);
  expect([code, stderr]).toEqual([0, '']);
  expect(stdout).toMatch(/^Wrote .*vit: ViTForImageClassification as onnx\/model\.onnx, config\.json\.$/m);
  expect(stdout.replaceAll(/\n {2}/g, ' ')).toMatch(/^From config\.json: .*hidden_size 32, .*layer_norm_eps 0\.03/m);
  expect(stdout).toMatch(/^It gives the numbers that lie beside the checkpoint: max error \d/m);
  expect(readdirSync(out).sort()).toEqual(['config.json', 'onnx']);
  const again = await call(['build', checkpoint('vit-cls'), '--out', out]);
  expect([again.code, again.stderr]).toEqual([2, expect.stringMatching(/is there already.*--overwrite/)]);
  expect((await call(['build', checkpoint('vit-cls'), '--out', out, '--overwrite', '--quiet'])).code).toBe(0);
});

it('names what it left out', async () => {
  const out = path.join(temporaryFolder(), 'bert');
  const { stdout } = await call(['build', checkpoint('bert-mlm-legacy'), '--out', out]);
  expect(stdout.replaceAll(/\s+/g, ' ')).toMatch(/Left out, as BertForMaskedLM has no use for them: bert\.pooler\.dense\.bias, bert\.pooler\.dense\.weight, cls\.seq_relationship/); // prettier-ignore
});

it.each([
  ['fp16', 'float16'],
  ['fp32', 'float32'],
])('%s', async (dtype, storage) => {
  // prettier-ignore
  const out = path.join(temporaryFolder(), 'qwen');
  const built = await callJson<BuiltModel>(
    'build',
    checkpoint('qwen2-bf16'),
    '--dtype',
    dtype,
    '--opset',
    '18',
    '--out',
    out,
  );
  expect(built.files.map((file) => path.relative(out, file))).toEqual(['onnx/model.onnx', 'config.json']);
  const { modules, opset } = await callJson<{ modules: ModuleInfo[]; opset: number }>('inspect', out);
  expect([modules[1]!.storage, opset]).toEqual([storage, 18]);
});

it('gives modules the names of the version that wrote the checkpoint, or of --names', async () => {
  const folder = temporaryFolder();
  const built = async (...flags: string[]): Promise<string[]> => {
    const out = path.join(folder, `vit${flags.join('')}`);
    await callJson('build', checkpoint('vit-bare'), '--out', out, ...flags);
    return (await callJson<{ modules: ModuleInfo[] }>('inspect', out)).modules.map((each) => each.path);
  };
  expect(await built()).toContain('layers.0.attention.q_proj');
  expect(await built('--names', '4')).toContain('encoder.layer.0.attention.attention.query');
  const { code, stderr } = await call(['build', checkpoint('vit-bare'), '--out', folder, '--names', 'new']);
  expect([code, stderr]).toEqual([2, expect.stringMatching(/names is 4 or 5/)]);
});

it('is not needed: other commands take the checkpoint, with an adapter beside it or in it', async () => {
  const folder = temporaryFolder();
  const [vit, merged] = [path.join(folder, 'vit'), path.join(folder, 'merged')];
  cpSync(checkpoint('vit-cls'), vit, { recursive: true });
  cpSync(path.join(vit, 'adapter'), vit, { recursive: true });
  const { family, modules } = await callJson<{ family: string; modules: ModuleInfo[] }>('inspect', vit);
  expect([family, modules.length]).toEqual(['vit', 14]);
  expect((await call(['inspect', vit])).stdout).toContain(`checkpoint  ${vit} (its graph is built when it is opened)`);
  const { code, stdout } = await call(['merge', vit, '--adapter', vit, '--format', 'safetensors', '--out', merged]);
  expect([code, stdout]).toEqual([0, expect.stringMatching(/^Wrote .*merged \(model\.safetensors, and what lies beside it\): 10 modules changed\.$/m)]); // prettier-ignore
  expect(readdirSync(merged).sort()).toEqual(['config.json', 'model.safetensors']);
});

it.each([
  [
    'refused-pickle',
    /as "pytorch_model\.bin" alone.*python -c 'import .*refused-pickle\/pytorch_model\*\.bin".*weights_only=True.*refused-pickle\/model\.safetensors"/,
  ],
  ['refused-missing-tensor', /lacks 1 tensor that its config\.json asks for: vit\./],
  ['refused-missing-shard', /names the missing file "model-00002-of-00005\.safetensors"/],
  [
    'refused-shape',
    /"esm\.encoder\.layer\.0\.intermediate\.dense\.weight" is \[47, 32\], where config\.json asks for \[48, 32\]/,
  ],
])('%s', async (name, message) => {
  const out = path.join(temporaryFolder(), 'out');
  const { code, stderr } = await call(['build', checkpoint(name), '--out', out]);
  expect([code, stderr.replaceAll(/\s+/g, ' ')]).toEqual([2, expect.stringMatching(message)]);
  expect(existsSync(out)).toBe(false);
});

it.each([
  [{ model_type: 'vitt' }, /"model_type": "vitt".*Did you mean "vit"/],
  [
    { architectures: ['ViTForMaskedImageModeling'] },
    /"ViTForMaskedImageModeling".*ViTModel, ViTForImageClassification/,
  ],
  [{ hidden_act: 'snake' }, /"hidden_act": "snake", which no graph is built for/],
  [
    { use_something_new: true },
    /asks for "use_something_new": true\. This is not known here.*--ignore use_something_new/,
  ],
  [{ hidden_size: 'wide' }, /"hidden_size" must be a whole number/],
  [{ num_attention_heads: 5 }, /"num_attention_heads" is 5, but must divide 32/],
])('refuses %j', async (change, message) => {
  const folder = path.join(temporaryFolder(), 'vit');
  cpSync(checkpoint('vit-cls'), folder, { recursive: true });
  const config = JSON.parse(readFileSync(path.join(folder, 'config.json'), 'utf8')) as object;
  writeFileSync(path.join(folder, 'config.json'), JSON.stringify({ ...config, ...change }));
  const { code, stderr } = await call(['build', folder, '--out', path.join(folder, 'out')]);
  expect([code, stderr.replaceAll(/\s+/g, ' ')]).toEqual([2, expect.stringMatching(message)]);
});

it('builds without what it is told to ignore', async () => {
  const folder = path.join(temporaryFolder(), 'vit');
  cpSync(checkpoint('vit-cls'), folder, { recursive: true });
  const config = JSON.parse(readFileSync(path.join(folder, 'config.json'), 'utf8')) as object;
  writeFileSync(path.join(folder, 'config.json'), JSON.stringify({ ...config, use_something_new: true }));
  const words = ['build', folder, '--ignore', 'use_something_new', '--out', path.join(folder, 'out')];
  expect(await call(words)).toMatchObject({ code: 0, stderr: '' });
});

it('writes nothing where the numbers that lie beside the checkpoint are others', async () => {
  const folder = path.join(temporaryFolder(), 'vit');
  cpSync(checkpoint('vit-cls'), folder, { recursive: true });
  const config = JSON.parse(readFileSync(path.join(folder, 'config.json'), 'utf8')) as object;
  writeFileSync(path.join(folder, 'config.json'), JSON.stringify({ ...config, hidden_act: 'relu' }));
  const { code, stderr } = await call(['build', folder, '--out', path.join(folder, 'out')]);
  expect([code, stderr]).toEqual([
    2,
    expect.stringMatching(/does not give the numbers that lie beside the checkpoint/),
  ]);
  expect(existsSync(path.join(folder, 'out'))).toBe(false);
});

it('builds another class than config.json names', async () => {
  const out = path.join(temporaryFolder(), 'bert');
  const built = await callJson<BuiltModel>(
    'build',
    checkpoint('minilm-embedding'),
    '--class',
    'bertmodel',
    '--out',
    out,
  );
  expect(built.architecture).toBe('BertModel');
  const { code, stderr } = await call(['build', checkpoint('minilm-embedding'), '--class', 'Bart', '--out', `${out}2`]);
  expect([code, stderr]).toEqual([
    2,
    expect.stringMatching(/"Bart" is asked for, and of bert can be built BertModel,/),
  ]);
});

it('says which types there are', async () => {
  const { code, stderr } = await call(['build', checkpoint('vit-cls'), '--out', 'x', '--dtype', 'fp8']);
  expect([code, stderr]).toEqual([2, expect.stringMatching(/--dtype must be one of fp32, fp16, int8, q4/)]);
});
