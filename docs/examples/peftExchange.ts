/**
 * @file From PEFT and back: an adapter that PEFT trained gives the same numbers here, is trained on, and goes back under the
 * names that PEFT's transformers wants.
 */

import { mkdir, rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import {
  type Adapter,
  evaluate,
  loadAdapter,
  type Model,
  OnnxLoraError,
  openModel,
  saveOnnxAdapter,
  type Tensor,
  train,
} from '@onnx-lora/sdk';
import { readSafetensors, writeSafetensors } from '@onnx-lora/sdk/data';
import { inNaming } from '@onnx-lora/sdk/plugin';
import { imageClassification, visionFamilies } from '@onnx-lora/vision';
import { readDigits, writeDigits } from './support/digits.ts';

const at = (file: string): string => fileURLToPath(new URL(`../${file}`, import.meta.url));
await rm('runs/exchange', { recursive: true, force: true });
await mkdir('runs/exchange', { recursive: true });
const digits = await readDigits();
await writeDigits('runs/exchange/turned/train', digits.slice(0, 2000), 'turned');
await writeDigits('runs/exchange/turned/test', digits.slice(8000), 'turned');

// #region load
const model = await openModel(at('models/vit-mnist'), { families: visionFamilies });
const fromPeft = await loadAdapter(at('peft/turned'));
const { r, loraAlpha, useRslora, targetModules } = fromPeft.config;
console.log('PEFT wrote:', { r, loraAlpha, useRslora, targetModules });
console.log('its names:  ', [...fromPeft.tensors.keys()][0]);
console.log('ours:       ', model.modules().find(({ path: module }) => module.endsWith('query'))!.path);
// #endregion load

// #region equal
const { tensors: given } = await readSafetensors(at('peft/turned/expected.safetensors'));
const pixels = given.get('pixel_values')!;
const logits = await logitsOf(model, fromPeft, pixels);
console.log(`\nlogits off by at most ${difference(logits, given.get('logits')!).toExponential(1)} from PEFT's`);
const task = imageClassification('runs/exchange/turned');
const before = await evaluate(model, { task, adapter: fromPeft });
console.log(`accuracy with PEFT's adapter: ${before.metrics['accuracy']!.toFixed(4)} of ${before.examples} digits`);
// #endregion equal
if (difference(logits, given.get('logits')!) > 1e-4) throw new Error('PEFT computes something else.');

// #region refused
const blind = await openModel(at('models/vit-mnist'));
const refusal = await blind.place(fromPeft).then(
  () => undefined,
  (error: unknown) => error,
);
if (!(refusal instanceof OnnxLoraError)) throw new Error('Names were not told apart.');
console.log(`\nwithout families: ${refusal.code}: ${refusal.message}`);
// #endregion refused

// #region train-on
const run = await train(model, { task, from: fromPeft, steps: 60, lr: 2e-3 });
const { adapter } = await run.done;
const after = await evaluate(model, { task, adapter });
console.log(
  `\naccuracy ${before.metrics['accuracy']!.toFixed(3)} before, ${after.metrics['accuracy']!.toFixed(3)} after more training`,
);
// #endregion train-on
if (!(after.metrics['accuracy']! > before.metrics['accuracy']!)) throw new Error('Nothing was learned.');

// #region back
await inNaming(adapter, 5, model).save('runs/exchange/for-transformers-5');
const expected = { pixel_values: pixels, logits: await logitsOf(model, adapter, pixels) };
await writeSafetensors('runs/exchange/for-transformers-5/expected.safetensors', new Map(Object.entries(expected)));
await inNaming(adapter, 4, model).save('runs/exchange/for-transformers-4');
await saveOnnxAdapter(adapter, 'runs/exchange/turned.onnx_adapter');
// #endregion back

// #region same
const again = await loadAdapter('runs/exchange/for-transformers-5');
const same = difference(await logitsOf(model, again, pixels), await logitsOf(model, adapter, pixels));
console.log(`saved, renamed and loaded again: off by ${same}`);
// #endregion same
if (same !== 0) throw new Error('Something was lost on the way.');

/** Output of the model with an adapter: `[batch, classes]`. */
async function logitsOf(which: Model, adapted: Adapter, images: Tensor): Promise<Tensor> {
  const session = await which.session({ adapters: { adapted } });
  const outputs = await session.run({ pixel_values: images }, { adapter: 'adapted' });
  await session.release();
  return outputs['logits']!;
}

function difference(a: Tensor, b: Tensor): number {
  return Math.max(...Array.from(a.data as Float32Array, (value, i) => Math.abs(value - Number(b.data[i]))));
}
