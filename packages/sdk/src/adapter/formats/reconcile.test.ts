/** @file Tests that a config which contradicts its tensors is refused by name on every way in, and that what PEFT writes is not. */

import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { linearNet, publishModel, randomAdapter } from '@onnx-lora/testing';
import { afterAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { loadAdapter } from '../../model/opening/loadAdapter.ts';
import { openModel } from '../../model/openModel.ts';
import { float32, type Tensor } from '../../runtime/tensor.ts';
import { Adapter } from '../adapter.ts';
import { adapterConfig } from './peftConfig.ts';

const scratch = mkdtempSync(path.join(tmpdir(), 'onnx-lora-reconcile-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
const cases = path.join(import.meta.dirname, '../../../../../test/fixtures/cases');

let folder: string;
let count = 0;
beforeEach(async () => {
  folder = path.join(scratch, String(count++));
  const published = await publishModel(path.join(scratch, 'net'), { model: linearNet() });
  const lora = { r: 2, targetModules: ['encoder.0', 'encoder.1'], modulesToSave: ['head'] };
  await (await randomAdapter(await openModel(published), { lora })).save(folder, { overwrite: true });
});

/** Changes the config of the adapter. */
function say(more: Readonly<Record<string, unknown>>): void {
  const file = path.join(folder, 'adapter_config.json');
  const config = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
  writeFileSync(file, JSON.stringify({ ...config, ...more }));
}

async function warningsOf(use: () => Promise<unknown>): Promise<string[]> {
  const warnings: string[] = [];
  const note = ({ message }: Error): number => warnings.push(message);
  process.on('warning', note);
  onTestFinished(() => void process.off('warning', note));
  await use();
  await new Promise((resolve) => setImmediate(resolve));
  return warnings;
}

describe('a config that contradicts its tensors', () => {
  it.each<[string, Record<string, unknown>, RegExp]>([
    [
      'twice the rank',
      { r: 4 },
      /^"[^"]+adapter_config\.json" gives "encoder\.0" the rank 4 \(r\), and its tensors have the rank 2\. .*Correct r or rank_pattern/,
    ],
    ['a rank that would switch it off', { r: 1e9 }, /the rank 1000000000 \(r\), and its tensors have the rank 2/],
    ["PEFT's default rank", { r: undefined }, /the rank 8 \(r\)/],
    ['another rank by pattern', { rank_pattern: { 'encoder.1': 3 } }, /gives "encoder\.1" the rank 3 \(rank_pattern\)/],
    [
      'DoRA without magnitudes',
      { use_dora: true },
      /says use_dora, and there is no lora_magnitude_vector for "encoder\.0", "encoder\.1"\. PEFT would initialize it/,
    ],
    [
      'biases of B that are not there',
      { lora_bias: true },
      /says lora_bias, and there is no lora_B\.bias for "encoder\.0"/,
    ],
    [
      'fewer modules',
      { target_modules: ['encoder.0'] },
      /target_modules: \["encoder\.0"\], and there are tensors for others, which PEFT would leave out: "encoder\.1"\. Name them/,
    ],
    ['other modules', { target_modules: ['query'] }, /leave out: "encoder\.0", "encoder\.1"/],
    ['a pattern for fewer', { target_modules: String.raw`encoder\.0` }, /leave out: "encoder\.1"/],
    [
      'some left out',
      { exclude_modules: ['encoder.1'] },
      /exclude_modules: \["encoder\.1"\], and there are tensors for others/,
    ],
    [
      'rows that are not there',
      { trainable_token_indices: [1] },
      /says trainable_token_indices, and there are no rows/,
    ],
  ])('is refused: %s', async (_, more, said) => {
    say(more);
    await expect(loadAdapter(folder)).rejects.toThrow(expect.objectContaining({ code: 'ADAPTER_INVALID', message: expect.stringMatching(said) as string })); // prettier-ignore
  });

  it('is refused where it is placed, too', async () => {
    const { config, tensors } = await loadAdapter(folder);
    const model = await openModel(path.join(scratch, 'net'));
    await expect(model.place(new Adapter({ ...config, r: 4 }, tensors))).rejects.toThrow(/^The adapter's config gives "encoder\.0" the rank 4 \(r\)/); // prettier-ignore
  });

  it.each([
    ['magnitudes', 'lora_magnitude_vector', 'use_dora'],
    ['biases', 'lora_B.bias', 'lora_bias'],
  ])('is refused for %s that it does not say', async (_, suffix, key) => {
    const { config, tensors } = await loadAdapter(folder);
    const more = new Map<string, Tensor>([...tensors, [`base_model.model.encoder.0.${suffix}`, float32(new Float32Array(6), [6])]]); // prettier-ignore
    await new Adapter(config, more).save(folder, { overwrite: true });
    await expect(loadAdapter(folder)).rejects.toThrow(`does not say ${key}, and there is a ${suffix} for "encoder.0", which PEFT would leave out`); // prettier-ignore
  });
});

describe('keys that are unknown', () => {
  it('are told once, with the file, the key and its value, and change nothing', async () => {
    say({ use_magic: true, shape: { a: 1 } });
    const told = await warningsOf(async () => {
      const adapter = await loadAdapter(folder);
      const model = await openModel(path.join(scratch, 'net'));
      await model.place(adapter);
    });
    expect(told).toHaveLength(1);
    expect(told[0]).toMatch(/^"[^"]+adapter_config\.json" has unknown keys, which are ignored: "use_magic": true, "shape": \{"a":1\}\. PEFT ignores them, too\./); // prettier-ignore
  });

  it('are passed over where they say nothing', async () => {
    say({ use_magic: null, a: false, b: [], c: {}, d: '', e: 0, runtime_config: { ephemeral_gpu_offload: false } });
    expect(await warningsOf(() => loadAdapter(folder))).toEqual([]);
  });

  it('of modules to save without tensors are told', async () => {
    say({ modules_to_save: ['classifier'] });
    expect(await warningsOf(() => loadAdapter(folder))).toEqual([expect.stringContaining('says modules_to_save: ["classifier"], and there are no tensors of them: the base\'s own stay')]); // prettier-ignore
  });
});

it.each([
  'lora-mha',
  'lora-target-parameters',
  'mixtral-target-parameters-v5',
  'lora-dora-embedding',
  'lora-lora-bias',
  'lora-tied-embeddings-ensured',
  'lora-trainable-tokens',
  'lora-bdlora',
  'lora-velora',
  'peft-adalora',
])('what PEFT wrote is in agreement: %s', async (name) => {
  const source = path.join(cases, name, 'adapter');
  cpSync(source, folder, { recursive: true });
  expect(await warningsOf(() => loadAdapter(folder))).toEqual([]);
});

it('of a stack the factors of all experts are side by side', async () => {
  const zeros = (dims: number[]): Tensor => float32(new Float32Array(dims.reduce((a, b) => a * b, 1)), dims);
  const tensors = new Map([['base_model.model.experts.lora_A.weight', zeros([8, 5])], ['base_model.model.experts.lora_B.weight', zeros([3, 8])]]); // prettier-ignore
  const config = adapterConfig({ r: 2, loraAlpha: 2, targetModules: [], targetParameters: ['experts.down'] });
  await new Adapter(config, tensors).save(folder, { overwrite: true });
  await loadAdapter(folder);
  await new Adapter({ ...config, r: 1_000_000_000 }, tensors).save(folder, { overwrite: true });
  await expect(loadAdapter(folder)).rejects.toThrow('the rank 1000000000');
});
