/** @file Settings that cannot be: what is refused, and how. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type Model, openModel } from '@onnx-lora/sdk';
import { linearNet, publishModel, randomAdapter } from '@onnx-lora/testing';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { methodsPlugin } from './plugin.ts';

let scratch = '';
let model: Model;
beforeAll(async () => {
  scratch = mkdtempSync(path.join(tmpdir(), 'onnx-lora-settings-'));
  model = await openModel(await publishModel(path.join(scratch, 'net'), { model: linearNet() }), { plugins: [methodsPlugin] }); // prettier-ignore
});
afterAll(() => {
  rmSync(scratch, { recursive: true });
});

// encoder.0 has 8 inputs and 6 outputs.
it.each<[name: string, settings: object, message: RegExp]>([
  ['allocating-lora', { max_r: 4 }, /max_r must be at least r, which is 8, and is 4/],
  ['lokr', { r: 0 }, /setting r must be a whole number of at least 1, and is 0\. Change it\./],
  ['lokr', { alpha: 'much' }, /alpha must be a number, and is "much"/],
  ['lokr', { rank_pattern: 'encoder' }, /rank_pattern must be numbers by patterns of modules, and is "encoder"/],
  ['lokr', { rank_pattern: { 'encoder.0': 0.5 } }, /r of "encoder\.0" must be a whole number .* is 0\.5/],
  ['lokr', { init_weights: 'zeros' }, /init_weights must be true, false or "lycoris"/],
  ['miss', { r: 9 }, /r must be at most 8, the inputs of "encoder\.0"/],
  ['miss', { r: 4, init_weights: 'bat' }, /r must be a divisor of the 8 inputs and 6 outputs of "encoder\.0"/],
  ['miss', { r: 4, init_weights: 'mini', mini_r: 4 }, /mini_r must be a divisor of 6, the outputs of "encoder\.0"/],
  ['hira', { rank_pattern: { 'encoder.0': 2 } }, /rank_pattern must be empty, since PEFT does not heed it/],
  ['hira', { hira_dropout: 1 }, /hira_dropout must be a probability less than 1, and is 1/],
  ['gralora', { r: 4, gralora_k: 3 }, /gralora_k must be a divisor of r, 4/],
  ['gralora', { r: 4, gralora_k: 4 }, /gralora_k must be a divisor of the 8 inputs and 6 outputs/],
  ['c3a', {}, /block_size must be a divisor of the 8 inputs and 6 outputs of "encoder\.0", and is 256/],
  ['c3a', { block_size: 2, init_weights: 'ones' }, /init_weights must be one of xavier_uniform, false, gaussian/],
  ['c3a', { block_size: 2, bias: 'all' }, /bias must be "none", all that this tuner has of it, and is "all"/],
  ['fourierft', {}, /n_frequency must be at most 48, the weights of "encoder\.0", and is 1000/],
  ['waveft', { n_frequency: 49 }, /n_frequency must be at most 48/],
  [
    'waveft',
    { n_frequency: 4, wavelet_family: 'coif1' },
    /wavelet_family must be one of db1, .* sym10, and is "coif1"/,
  ],
  ['vblora', { vector_length: 4 }, /vector_length must be a divisor of the 8 inputs and 6 outputs/],
  ['relora', { prune_ratio: 1.1 }, /prune_ratio must be from 0 to 1, and is 1\.1/],
  ['periodic-lora', { momentum_ratio: 0 }, /momentum_ratio must be above 0, and at most 1, and is 0/],
  ['cola', { restart_every: 0.5 }, /restart_every must be a whole number of at least 1/],
  ['mora', { r: 2, mora_type: 2 }, /mora_type must be 1 \(shared\) or 6 \(rotated\), and is 2/],
  [
    'mora',
    {},
    /r must be at most 4 for "encoder\.0", whose matrix would have more rows than the layer inputs, and is 8/,
  ],
  ['mixlora', { top_k: 9 }, /top_k must be at most num_experts, which is 8, and is 9/],
  ['mixlora', { feedforward_modules: 'encoder' }, /feedforward_modules must be a list of names, and is "encoder"/],
  ['pvera', { sample_at_inference: true }, /sample_at_inference must be false, all that this tuner has of it/],
  [
    'lora-xs',
    { r: 7 },
    /"encoder\.0" cannot be adapted by the tuner "lora-xs": the layer has 6 singular vectors, and the rank is 7/,
  ],
  ['melora', { blocks: 4 }, /blocks must be a divisor of the 8 inputs and 6 outputs/],
  ['tt-lora', { cores: 1e9 }, /cores must be at most 24, more than a side has divisors, and is 1000000000/],
])('%s with %o', async (name, settings, message) => {
  const lora = { tuner: { name, ...settings }, targetModules: ['encoder.0'] };
  await expect(randomAdapter(model, { lora })).rejects.toThrow(message);
});
