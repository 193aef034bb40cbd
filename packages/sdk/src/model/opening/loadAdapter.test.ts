/** @file Tests of what may be named as an adapter. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { Adapter } from '../../adapter/adapter.ts';
import { parseAdapterConfig } from '../../adapter/formats/peftConfig.ts';
import { float32 } from '../../runtime/tensor.ts';
import { loadAdapter } from './loadAdapter.ts';

function adapterOf(first: number): Adapter {
  const config = parseAdapterConfig({ peft_type: 'LORA', r: 1, lora_alpha: 1, target_modules: ['fc1'] }, 'config');
  const name = (factor: string): string => `base_model.model.fc1.lora_${factor}.weight`;
  return new Adapter(config, new Map([[name('A'), float32([first, 2], [1, 2])], [name('B'), float32([3], [1, 1])]])); // prettier-ignore
}

it('the folder of a run stands for the adapter in it, and an adapter for itself', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-load-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const first = async (source: string): Promise<unknown> =>
    [...(await loadAdapter(source)).tensors.values()][0]!.data[0];
  await adapterOf(7).save(path.join(folder, 'run', 'adapter'));
  expect(await first(path.join(folder, 'run'))).toBe(7);
  expect(await first(path.join(folder, 'run', 'adapter'))).toBe(7);
  await adapterOf(5).save(path.join(folder, 'run'));
  expect(await first(path.join(folder, 'run'))).toBe(5);
  await expect(loadAdapter(folder)).rejects.toThrow(`"${folder}" holds no adapter_config.json`);
});
